/** A fake terminal for tests of the line editor. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { Editor, type EditorOptions } from '../../../cli/terminal/editor.js'
import { History } from '../../../cli/terminal/history.js'

/** The directory of histories. It exists, because root could write to any invented path. */
const own = mkdtempSync(join(tmpdir(), 'llambo-fake-'))
process.once('exit', () => rmSync(own, { recursive: true, force: true }))

/** Streams that look like a terminal to the editor. What is written is kept. */
export class FakeTerminal {
  readonly input = Object.assign(new PassThrough(), {
    isTTY: true,
    raw: false,
    setRawMode(raw: boolean) {
      this.raw = raw
    },
  })
  readonly output = Object.assign(new PassThrough(), { isTTY: true, columns: 40, rows: 12 })
  written = ''

  constructor() {
    this.output.on('data', data => {
      this.written += data
    })
  }

  editor(options: Partial<EditorOptions> = {}): Editor {
    return new Editor({
      input: this.input as never,
      output: this.output as never,
      history: new History(join(own, 'history')),
      prompt: () => '> ',
      env: { TERM: 'xterm' },
      ...options,
    })
  }

  /** Sends keys, as a terminal does. */
  send(keys: string): void {
    this.input.write(keys)
  }
}

/** The characters that a terminal sends for keys. */
export const key = {
  enter: '\r',
  up: '\x1b[A',
  down: '\x1b[B',
  left: '\x1b[D',
  right: '\x1b[C',
  home: '\x1b[H',
  end: '\x1b[F',
  backspace: '\x7f',
  altEnter: '\x1b\r',
  alt: (letter: string) => `\x1b${letter}`,
  ctrl: (letter: string) => String.fromCharCode(letter.toUpperCase().charCodeAt(0) - 64),
  paste: (text: string) => `\x1b[200~${text}\x1b[201~`,
}
