/** A program that reads entries, for tests in a real terminal. */
import { Editor } from '../../../cli/terminal/editor.js'
import { History } from '../../../cli/terminal/history.js'

/** Reads entries and prints each as JSON. At an entry `stream N` it prints N lines while it goes on reading. */
const editor = new Editor({
  input: process.stdin,
  output: process.stdout,
  history: new History(process.argv[2]!, { warn: line => process.stderr.write(`${line}\n`) }),
  prompt: () => 'ask> ',
  hold: true,
  more: text => (text.match(/"""/g)?.length ?? 0) % 2 === 1,
  async complete(text, cursor) {
    const word = /\S*$/.exec(text.slice(0, cursor))![0]
    const items = ['apple', 'apricot', 'banana', '漢字 '].filter(name => name.startsWith(word))
    return { from: cursor - word.length, items: items.map(name => ({ text: name })) }
  },
})
for (;;) {
  const entry = await editor.read()
  if (entry === undefined) break
  const [, lines] = /^stream (\d+)$/.exec(entry) ?? []
  if (lines) void stream(Number(lines))
  else await editor.above(`${JSON.stringify(entry)}\n`)
}
editor.close()
process.stdout.write('left\n')

async function stream(lines: number): Promise<void> {
  for (let i = 1; i <= lines; i++) {
    await editor.above(`line ${i}\n`)
    await new Promise(resolve => setTimeout(resolve, 2))
  }
  editor.status = []
}
