/** The command `dish`, a program by itself and also `llamboctl dish`. */

import type { Command } from '../cli/command.js'

export const dish: Command = {
  name: 'dish',
  args: '[file] [words...]',
  summary: 'the shell of the cluster: its world is the files',
  options: [
    ['-c, --command <text>', 'run commands and exit; words behind it are $*'],
    ['-i, --interactive', 'as at a terminal, also where standard input is none'],
    ['-n, --parse', 'look for mistakes in commands and run none'],
  ],
  load: () => import('./run.js'),
}
