/** `llamboctl shell zsh` and `llamboctl shell bash`: print the script of the sentinel. */
import type { Run } from '../../cli/command.js'
import { script } from '../shell/script.js'

/** Makes the command that prints the script for one shell, to be run with `eval`. */
export const shell =
  (name: 'zsh' | 'bash'): Run =>
  io =>
    io.print(script(name, io.env))
