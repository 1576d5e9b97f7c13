import type { Command } from '../ctl/common/command.js'

/** dish, by itself and as `llamboctl dish`. */
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
