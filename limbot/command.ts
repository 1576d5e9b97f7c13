/** limbot's command line, for the program and for `llamboctl limbot`. */
import type { Command } from '../cli/command.js'
import { flagOf, keys, settings } from '../cli/limbotconf.js'

export const limbot: Command = {
  name: 'limbot',
  args: '[text...]',
  summary: 'talk with a model; with TEXT or a pipe, one answer',
  options: [
    ['-c, --continue', 'go on with the last conversation'],
    ['--session <id>', 'go on with that one: its number, or how its title begins'],
    ['-l, --list', 'print the conversations that are kept'],
    ['-f, --file <path>', 'attach a file, as often as it is given; - is standard input', [], 'many'],
    ['-n, --no-save', 'keep neither the conversation nor what is typed'],
    ['-x, --extract', 'print the first block of code of the answer, and nothing else'],
    ['--json', 'print one JSON object: the answer and its figures'],
    ['--no-stream', 'print the answer when it is complete'],
    ['--raw', 'print what the model says as it is, no Markdown set'],
    ['--dry-run', 'print the request that would be made, and make none'],
    ...keys
      .filter(key => key !== 'save')
      .map(key => {
        const { short, value, help } = settings[key] as { short?: string; value: string; help: string }
        return [`${short ? `-${short}, ` : ''}--${flagOf(key)} <${value}>`, help] as const
      }),
  ],
  load: () => import('./run.js'),
}
