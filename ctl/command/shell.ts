import type { Run } from '../common/command.js'
import { script } from '../shell/script.js'

/** `shell zsh`, `shell bash`: prints what `eval` takes. */
export const shell =
  (name: 'zsh' | 'bash'): Run =>
  io =>
    io.print(script(name, io.env))
