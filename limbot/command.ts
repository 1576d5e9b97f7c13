/** limbot's command line, for the program and for `llamboctl limbot`. */
import type { Command } from '../cli/command.js'
import { flagOf, keys, settings } from '../cli/limbotconf.js'

export const limbot: Command = {
  name: 'limbot',
  args: '[text...]',
  summary: 'chat with a model; with TEXT or piped input, print one answer',
  options: [
    ['-c, --continue', 'continue the last conversation'],
    ['--session <id>', 'continue this conversation: its number, the beginning of its title, or a file'],
    ['-l, --list', 'list the saved conversations'],
    ['-f, --file <path>', 'attach a file (may be repeated); - is standard input', [], 'many'],
    ['-n, --no-save', 'save neither the conversation nor what is typed'],
    ['-x, --extract', 'print only the first code block of the answer'],
    ['--json', 'print one JSON object: the answer and its figures'],
    ['--no-stream', 'print the answer when it is complete'],
    ['--raw', 'do not format Markdown'],
    ['--dry-run', 'print the request without sending it'],
    ...keys
      .filter(key => key !== 'save')
      .map(key => {
        const { short, value, help } = settings[key] as { short?: string; value: string; help: string }
        return [`${short ? `-${short}, ` : ''}--${flagOf(key)} <${value}>`, help] as const
      }),
  ],
  load: () => import('./run.js'),
}
