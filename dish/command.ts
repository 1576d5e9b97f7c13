/** The command `dish`, a program by itself and also `llamboctl dish`. */

import type { Command } from '../cli/command.js'

export const dish: Command = {
  name: 'dish',
  args: '[file] [words...]',
  summary: 'a shell whose files are those of the cluster',
  options: [
    ['-c, --command <text>', 'run these commands and exit; the words after them are $*'],
    ['-i, --interactive', 'behave as at a terminal, even if standard input is not a terminal'],
    ['-n, --parse', 'check the syntax of commands without running them'],
  ],
  load: () => import('./run.js'),
}
