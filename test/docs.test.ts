/** Tests that the commands in the documents exist, and that they can be typed at an interactive shell as they are. */

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Command as Commander } from 'commander'
import t from 'tap'
import { program } from '../cli/program.js'
import { llamboctl } from '../ctl/command/table.js'

const checkout = fileURLToPath(new URL('../..', import.meta.url))
const documents = [
  'README.md',
  'SECURITY.md',
  'CONTRIBUTING.md',
  'models/README.md',
  ...readdirSync(join(checkout, 'docs')).map(name => `docs/${name}`),
].filter(name => name.endsWith('.md'))

interface Line {
  readonly where: string
  readonly text: string
}

/** The lines of code blocks, and code within lines: what a reader may type. */
function* code(name: string): Generator<Line & { readonly block: boolean }> {
  let fenced = false
  for (const [i, line] of readFileSync(join(checkout, name), 'utf8').split('\n').entries()) {
    const where = `${name}:${i + 1}`
    if (/^\s*```/.test(line)) fenced = !fenced
    else if (fenced || line.startsWith('    ')) yield { where, text: line.trim(), block: true }
    else for (const [, text = ''] of line.matchAll(/`([^`]+)`/g)) yield { where, text, block: false }
  }
}

/**
 * Whether a bash or zsh at a terminal expands something in a command: a ! outside single quotes that is not followed by
 * a space, = or (.
 */
function expands(command: string): boolean {
  const bare = command
    .replace(/'[^']*'/g, '')
    .replace(/(^|\s)#\s.*$/, '')
    .replace(/\\./g, '')
  return /![^\s=(]/.test(bare)
}

t.test('an interactive shell expands no ! in a command that a document shows', async t => {
  t.ok(expands('llamboctl --at unix!/run/x'))
  t.ok(expands('llamboctl --at "unix!$XDG_RUNTIME_DIR/x"'))
  t.notOk(expands(`llamboctl --at 'unix!/run/x' ls # so!`))
  t.notOk(expands('if ! true; then [ a != b ]; fi'))
  for (const name of documents)
    for (const { where, text, block } of code(name)) {
      const command = text.replace(/^(?:\w*[$%#>]\s+)/, '')
      const typed =
        /^(?:[A-Z_]+=\S* )*(?:npx |\.\/)?(?:llamboctl|limbot|dish|echo|cat|cp|git|exec|sudo|mount|ssh|socat)\b/
      // ! means something else at dish's own prompt, and in its language
      const ours = /^llambo/.test(text) && !/^llamboctl/.test(text)
      if (block && typed.test(command) && !ours && !(name === 'docs/dish.md' && !/llamboctl/.test(command)))
        t.notOk(expands(command), `${where}: ${text}`)
    }
})

t.test('an interactive shell expands no ! in an address that a help text shows', t => {
  const each = (command: Commander): void => {
    for (const { flags, description } of command.options)
      t.notOk(expands(description), `${command.name()} ${flags}: ${description}`)
    for (const child of command.commands) each(child)
  }
  each(program(llamboctl, async () => {}))
  t.end()
})

// interactive_comments is off in zsh: the words of a comment would be arguments, which npm passes on
t.test('no command of npm or llamboctl that a document shows ends in a comment', t => {
  for (const name of documents)
    for (const { where, text, block } of code(name))
      if (block && /^(?:\w*[$%>]\s+)?(?:npm|npx|(?:\.\/)?llamboctl)\b/.test(text))
        t.notMatch(text, /\s#\s/, `${where}: ${text}`)
  t.end()
})

t.test('each llamboctl command that a document shows exists, with its options', async t => {
  const cli = program(llamboctl, async () => {})
  const child = (at: Commander, word: string) =>
    at.commands.find(one => one.name() === word || one.aliases().includes(word))
  const long = (command: Commander | null): string[] =>
    command
      ? [...command.options.flatMap(({ long, short }) => [long, short]), ...long(command.parent)].filter(
          o => o !== undefined,
        )
      : []
  let found = 0
  for (const name of documents)
    for (const { where, text, block } of code(name)) {
      // a line of its output begins with its name and a colon
      for (const [, rest = ''] of text.matchAll(/(?:^|[\s(;&|"=])(?:npx |\.\/)?llamboctl((?: +[^\s|;&`)>"#]+)*)/g)) {
        const words = rest
          .split(/\s+/)
          .map(word => word.replace(/[[\],…]/g, ''))
          .filter(Boolean)
        let command: Commander = cli
        const used: string[] = []
        for (let i = 0; i < words.length; i++) {
          const word = words[i]!
          if (word.startsWith('-') && word.length > 1) {
            const [option = ''] = word.split('=')
            used.push(option)
            if (['--at', '--aname', '--trace'].includes(option)) i++
          } else if (command === cli) {
            // COMMAND and the like stand for any command
            const next = child(cli, word)
            if (next) command = next
            else if (/^[a-z]+$/.test(word) && word !== 'help') t.fail(`${where}: llamboctl ${word} is not a command`)
            else break
          } else command = child(command, word) ?? command
        }
        if (command !== cli) found++
        const known = [...long(command), '-h', '--help']
        for (const option of block ? used : []) {
          if (command === cli && !known.includes(option)) continue
          t.ok(known.includes(option), `${where}: llamboctl ${command.name()} ${option}`)
        }
      }
    }
  t.ok(found > 100, `${found} commands were checked`)
})
