/** The line editor of limbot and dish: reads entries from a person at a terminal. */
import { emitKeypressEvents, type Key } from 'node:readline'
import { Buffer } from './buffer.js'
import { external } from './external.js'
import type { History } from './history.js'
import { edits, keyName } from './keys.js'
import { type Frame, layout, row } from './layout.js'
import { Lines } from './lines.js'
import { type Completion, listing, shared } from './listing.js'
import { sanitize } from './sanitize.js'
import { Screen } from './screen.js'
import { Search } from './search.js'
import { width } from './width.js'

export interface EditorOptions {
  input: NodeJS.ReadStream
  output: NodeJS.WriteStream
  history: History
  /** The text before an entry. It is called at each drawing, and the text may have colours. */
  prompt: () => string
  /** Called at Tab. A result that arrives after the next key is dropped. */
  complete?: (text: string, cursor: number, signal: AbortSignal) => Promise<Completion | undefined>
  /** Whether an entry is incomplete and continues on the next line. */
  more?: (text: string) => boolean
  /** Called at Ctrl-C. Returns true where it interrupted something that runs; then the entry stays. */
  interrupt?: () => boolean
  /**
   * Keeps the terminal in raw mode between reads, so that Ctrl-C calls `interrupt` and what is typed is not echoed
   * twice.
   */
  hold?: boolean
  /** The command that edits an entry; undefined for $VISUAL or $EDITOR. */
  editor?: () => string | undefined
  env?: NodeJS.ProcessEnv
}

/** Two Ctrl-C on an empty line within this time leave, in ms. */
const TWICE_MS = 2000
/**
 * An escape that nothing follows within this time is the Escape key, in ms; the sequences that a terminal sends arrive
 * at once.
 */
const ESCAPE_MS = 50

type Done = { resolve(entry: string | undefined): void }

/**
 * Reads entries from a person at a terminal. Entries may have several lines; there are history, search, completion and
 * the keys of Emacs and shells. Where the streams are not terminals, or TERM is dumb, it reads plain lines and writes
 * no escape sequences.
 */
export class Editor {
  /** While true, an accepted entry is erased from the screen, and the caller of `read` shows it with `above`. */
  busy = false
  readonly plain: boolean
  readonly #o: EditorOptions
  readonly #buffer = new Buffer()
  readonly #screen: Screen
  readonly #lines: Lines
  readonly #env: NodeJS.ProcessEnv
  /** Rows above the entry that show what is in progress. */
  #status: readonly string[] = []
  /** Rows below the entry: completions and hints. */
  #list: string[] = []
  #done: Done | undefined
  #attached = false
  /** Keys that arrived between two reads. */
  #ahead: [string | undefined, Key][] = []
  #paste: string | undefined
  #prefix = ''
  #search: Search | undefined
  /** Where in the history the entry comes from, the prefix that is searched for, and what was typed before. */
  #past: { at: number; prefix: string; draft: string } | undefined
  #completing: AbortController | undefined
  #interrupted = Number.NEGATIVE_INFINITY
  /** Whether this editor has the terminal: in raw mode, with bracketed paste. */
  #ours = false
  /** Whether another program has the terminal (`lend`). */
  #away = false
  /** Lines for `above` that wait until that program has ended. */
  #held = ''

  constructor(options: EditorOptions) {
    this.#o = options
    this.#env = options.env ?? process.env
    this.plain = !options.input.isTTY || !options.output.isTTY || this.#env.TERM === 'dumb'
    this.#screen = new Screen(options.output)
    this.#lines = new Lines(options.input)
  }

  /**
   * Reads one entry.
   * @returns undefined where the person leaves (Ctrl-D, Ctrl-C twice), the input ends or the signal aborts
   */
  read(signal?: AbortSignal): Promise<string | undefined> {
    if (this.plain) return this.#readLines(signal)
    if (signal?.aborted) return Promise.resolve(undefined)
    return new Promise(resolve => {
      const abort = () => this.#finish(undefined)
      signal?.addEventListener('abort', abort, { once: true })
      this.#done = {
        resolve: entry => {
          signal?.removeEventListener('abort', abort)
          resolve(entry)
        },
      }
      this.#begin()
      this.#draw()
      while (this.#ahead.length > 0 && this.#done) this.#key(...this.#ahead.shift()!)
    })
  }

  /**
   * Shows finished lines above the entry, in one write with a new `status` where one is given. Waits while the terminal
   * is slower.
   */
  above(lines: string, status?: readonly string[]): Promise<void> {
    if (status) this.#status = status
    if (lines === '') {
      this.#draw()
      return Promise.resolve()
    }
    if (this.#away) {
      // another program draws: the lines are shown when it has ended
      this.#held += lines.endsWith('\n') ? lines : `${lines}\n`
      return Promise.resolve()
    }
    if (this.plain || !this.#done) {
      return new Promise(resolve => {
        const text = lines.endsWith('\n') ? lines : `${lines}\n`
        this.#o.output.write(text, () => resolve())
      })
    }
    return this.#screen.above(lines, this.#frame())
  }

  /**
   * Rows that stay above the entry until they are set again. They are cut to the width of the screen. A plain editor
   * shows none.
   */
  set status(rows: readonly string[]) {
    this.#status = rows
    this.#draw()
  }

  /** The text that shows an entry as it looks once it is accepted, for `above`. */
  shown(entry: string): string {
    const { rows } = layout(this.#o.prompt(), this.#more, entry, 0, this.#screen.columns)
    return `${rows.map(({ text }) => text).join('\n')}\n`
  }

  /** Whether a `read` is in progress, so that keys edit its entry. */
  get reading(): boolean {
    return this.#done !== undefined
  }

  /** What has been typed of the next entry. */
  get text(): string {
    return this.#buffer.text
  }

  /** Sets the text with which the next `read` begins. */
  prefill(text: string): void {
    this.#buffer.set(text)
    this.#draw()
  }

  /** Gives the terminal to another program while `work` runs, and takes it back afterwards. */
  async lend<T>(work: () => Promise<T>): Promise<T> {
    if (this.plain) return work()
    if (this.#done) this.#screen.erase()
    this.#away = true
    this.#release()
    try {
      return await work()
    } finally {
      this.#away = false
      if (this.#done || (this.#o.hold && this.#attached)) this.#begin()
      const held = this.#held
      this.#held = ''
      void this.above(held)
    }
  }

  /** Gives the terminal back for good. */
  close(): void {
    this.#finish(undefined)
    this.#release()
    this.#lines.close()
    if (!this.#attached) return
    this.#attached = false
    this.#o.input.off('keypress', this.#onkey).off('end', this.#onend)
    this.#o.output.off('resize', this.#onresize)
    process.off('SIGCONT', this.#oncont).off('exit', this.#release)
  }

  /** Takes the terminal: keys as they are pressed, pastes in brackets. */
  #begin(): void {
    const { input, output } = this.#o
    if (!this.#attached) {
      this.#attached = true
      // the types ask for a whole Interface, of which only this field is used
      emitKeypressEvents(input, { escapeCodeTimeout: ESCAPE_MS } as never)
      input.on('keypress', this.#onkey)
      input.on('end', this.#onend)
      output.on('resize', this.#onresize)
      process.on('SIGCONT', this.#oncont)
      process.on('exit', this.#release)
    }
    if (this.#ours) return
    this.#ours = true
    input.setRawMode(true)
    input.resume()
    output.write('\x1b[?2004h')
  }

  readonly #release = (): void => {
    const { input, output } = this.#o
    if (!this.#ours) return
    this.#ours = false
    output.write('\x1b[?2004l')
    input.setRawMode(false)
    input.pause()
  }

  #finish(entry: string | undefined): void {
    const done = this.#done
    if (!done) return
    this.#completing?.abort()
    this.#list = []
    this.#search = undefined
    this.#past = undefined
    if (this.busy && entry !== undefined) this.#screen.erase()
    else this.#screen.leave(this.#bare())
    this.#done = undefined
    if (entry !== undefined) this.#buffer.set('', true)
    if (!this.#o.hold) this.#release()
    done.resolve(entry)
  }

  readonly #onkey = (text: string | undefined, key: Key): void => {
    if (this.#away) return
    if (this.#done) this.#key(text, key)
    // keys that interrupt nothing wait for the next `read`
    else if (keyName(text, key) !== 'C-c' || !this.#o.interrupt?.()) this.#ahead.push([text, key])
  }

  readonly #onend = (): void => this.#finish(undefined)

  readonly #onresize = (): void => {
    this.#screen.resized()
    this.#draw()
  }

  /** Takes the terminal again after a stop (Ctrl-Z): the shell may have changed its mode meanwhile. */
  readonly #oncont = (): void => {
    if (!this.#done || this.#away) return
    this.#release()
    this.#begin()
    this.#screen.resized()
    this.#draw()
  }

  #key(text: string | undefined, key: Key): void {
    if (key.name === 'paste-start') this.#paste = ''
    else if (key.name === 'paste-end') this.#pasted()
    else if (this.#paste !== undefined) this.#paste += text ?? key.sequence ?? ''
    else this.#pressed(text, key)
    if (this.#paste === undefined) this.#draw()
  }

  #pasted(): void {
    const text = sanitize((this.#paste ?? '').replace(/\r\n?/g, '\n'))
    this.#paste = undefined
    this.#leaveSearch()
    this.#touched()
    this.#buffer.insert(text)
  }

  #pressed(text: string | undefined, key: Key): void {
    const name = `${this.#prefix}${keyName(text, key) ?? ''}`
    this.#prefix = ''
    if (this.#search && this.#searching(this.#search, name, text)) return
    if (name !== 'tab') this.#touched()
    if (!/^(up|down|C-[pn]|M-[<>])$/.test(name)) this.#past = undefined
    if (name === '') this.#buffer.insert(sanitize(text ?? ''), true)
    else if (name in this.#actions) this.#actions[name]!()
    else edits[name]?.(this.#buffer)
  }

  /** Drops a completion that was asked for, and its list, because the entry changes. */
  #touched(): void {
    this.#completing?.abort()
    this.#completing = undefined
    this.#list = []
  }

  /** Keys that do more than edit the text of the entry. */
  readonly #actions: Readonly<Record<string, () => void>> = {
    return: () => this.#enter(),
    up: () => this.#history(-1),
    down: () => this.#history(1),
    'C-p': () => this.#history(-1),
    'C-n': () => this.#history(1),
    'M-<': () => this.#recall(0),
    'M->': () => this.#recall(this.#o.history.entries.length),
    'C-r': () => {
      this.#search = new Search(this.#o.history.entries)
    },
    tab: () => void this.#complete(),
    'C-c': () => this.#interrupt(),
    'C-d': () => {
      if (this.#buffer.text === '') this.#finish(undefined)
      else edits.delete!(this.#buffer)
    },
    'C-l': () => this.#screen.clear(),
    'C-g': () => void this.#edit(),
    'C-x': () => {
      this.#prefix = 'C-x '
    },
    'C-x C-e': () => void this.#edit(),
    'C-z': () => this.#suspend(),
  }

  #enter(): void {
    const buffer = this.#buffer
    const { text, cursor } = buffer
    if (text[cursor - 1] === '\\' && cursor === buffer.lineEnd) return buffer.replace(cursor - 1, cursor, '\n')
    if (this.#o.more?.(text)) {
      buffer.move(text.length)
      return buffer.insert('\n')
    }
    if (text.trim() !== '') this.#o.history.add(text)
    this.#finish(text)
  }

  #history(by: -1 | 1): void {
    if (this.#past === undefined && this.#buffer.line(by)) return
    if (this.#past === undefined && by > 0) return
    const { entries } = this.#o.history
    // in an entry that was recalled and not changed the arrows move through its lines first
    if (this.#past && entries[this.#past.at] === this.#buffer.text && this.#buffer.line(by)) return
    this.#past ??= {
      at: entries.length,
      prefix: this.#buffer.text.slice(0, this.#buffer.cursor),
      draft: this.#buffer.text,
    }
    let { at } = this.#past
    const { prefix } = this.#past
    do at += by
    while (at >= 0 && at < entries.length && !(entries[at]!.startsWith(prefix) && entries[at] !== this.#buffer.text))
    this.#recall(at)
  }

  #recall(at: number): void {
    const { entries } = this.#o.history
    this.#past ??= { at: entries.length, prefix: '', draft: this.#buffer.text }
    if (at < 0) return
    this.#past.at = Math.min(at, entries.length)
    this.#buffer.set(entries[this.#past.at] ?? this.#past.draft)
  }

  /** Handles a key during a search of the history. @returns whether the key is done with */
  #searching(search: Search, name: string, text: string | undefined): boolean {
    if (search.key(name, text)) return true
    if (name === 'C-g' || name === 'C-c' || name === 'escape') {
      this.#search = undefined
      return true
    }
    this.#leaveSearch()
    // Tab only accepts what was found; Enter and other keys then also do what they do elsewhere
    return name === 'tab'
  }

  #leaveSearch(): void {
    const found = this.#search?.found
    if (found !== undefined) this.#buffer.set(found)
    this.#search = undefined
  }

  async #complete(): Promise<void> {
    const { complete } = this.#o
    if (!complete) return
    this.#touched()
    const asked = new AbortController()
    this.#completing = asked
    const { text, cursor } = this.#buffer
    const found = await complete(text, cursor, asked.signal).catch(() => undefined)
    if (asked.signal.aborted || this.#completing !== asked || !this.#done) return
    this.#completing = undefined
    if (!found || found.items.length === 0) return
    const common = found.items.map(item => item.text).reduce(shared)
    const typed = text.slice(found.from, cursor)
    if (found.items.length === 1 || common.length > typed.length) this.#buffer.replace(found.from, cursor, common)
    if (found.items.length > 1) this.#list = listing(found.items, this.#screen.columns)
    this.#draw()
  }

  #interrupt(): void {
    if (this.#o.interrupt?.()) return
    if (this.#buffer.text !== '') {
      // what was typed stays visible, as in a shell
      this.#screen.leave(this.#bare('^C'))
      this.#buffer.set('', true)
      this.#interrupted = Number.NEGATIVE_INFINITY
      return
    }
    const now = performance.now()
    if (now - this.#interrupted < TWICE_MS) return this.#finish(undefined)
    this.#interrupted = now
    this.#list = ['press Ctrl-C again or Ctrl-D to quit']
  }

  async #edit(): Promise<void> {
    try {
      const text = await this.lend(() => external(this.#buffer.text, this.#env, this.#o.editor?.()))
      this.#buffer.set(text)
    } catch (error) {
      await this.above(`${sanitize((error as Error).message)}\n`)
    }
    this.#draw()
  }

  #suspend(): void {
    this.#screen.leave(this.#bare())
    this.#release()
    // `#oncont` takes the terminal back at SIGCONT
    process.kill(process.pid, 'SIGTSTP')
  }

  get #more(): string {
    return `${' '.repeat(Math.max(0, width(this.#o.prompt()) - 2))}… `
  }

  #draw(): void {
    if (this.#done && !this.#away && !this.plain) this.#screen.draw(this.#frame())
  }

  /** The entry without the rows above and below, as it stays on the screen once it is accepted. */
  #bare(end = ''): Frame {
    const { columns } = this.#screen
    return layout(this.#o.prompt(), this.#more, this.#buffer.text + end, 0, columns)
  }

  #frame(): Frame {
    const { columns } = this.#screen
    const entry = this.#search?.frame(columns) ?? this.#entryFrame()
    const above = this.#status.map(text => row(text, columns))
    const below = this.#list.map(text => row(text, columns))
    return { rows: [...above, ...entry.rows, ...below], row: above.length + entry.row, column: entry.column }
  }

  #entryFrame(): Frame {
    return layout(this.#o.prompt(), this.#more, this.#buffer.text, this.#buffer.cursor, this.#screen.columns)
  }

  async #readLines(signal?: AbortSignal): Promise<string | undefined> {
    const terminal = this.#o.input.isTTY && this.#o.output.isTTY
    let entry = ''
    for (let first = true; ; first = false) {
      if (terminal) this.#o.output.write(first ? this.#o.prompt() : this.#more)
      const line = await this.#lines.next(signal)
      if (line === undefined) return first ? undefined : entry
      if (line.endsWith('\\')) {
        entry += `${line.slice(0, -1)}\n`
        continue
      }
      entry += line
      if (!this.#o.more?.(entry)) break
      entry += '\n'
    }
    if (terminal && entry.trim() !== '') this.#o.history.add(entry)
    return entry
  }
}
