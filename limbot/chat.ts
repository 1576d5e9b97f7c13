/** The interactive chat: reads entries from the terminal and shows the answers above the line being edited. */
import { setTimeout as sleep } from 'node:timers/promises'
import { FsError } from '../api/errors.js'
import { explain, Failure } from '../cli/exit.js'
import type { Invocation } from '../cli/invocation.js'
import { bytes } from '../cli/output.js'
import { stateDir } from '../cli/paths.js'
import { onInterrupt } from '../cli/signals.js'
import { Editor } from '../cli/terminal/editor.js'
import { History } from '../cli/terminal/history.js'
import type { Completion } from '../cli/terminal/listing.js'
import { sanitize } from '../cli/terminal/sanitize.js'
import { clip, width } from '../cli/terminal/width.js'
import { version } from '../cli/version.js'
import { type Attachment, composed, mentioned, mentioning } from './attach.js'
import type { ChatClient } from './chat-client.js'
import { footer, state } from './footer.js'
import { wrap } from './inline.js'
import type { Renderer } from './renderer.js'
import { type Rendering, setter } from './rendering.js'

/** How often a growing answer is drawn, in ms: a person does not see a higher rate. */
const FRAME_MS = 33
/** How long a command, or a state on a plain terminal, must last before the chat shows it, in ms. */
const LASTS_MS = 500
const PROMPT = 'You: '

/** The slash commands. They import the chat, so the chat gets them as an argument. */
export interface ChatCommands {
  /** Runs an entry that begins with a slash. */
  execute(chat: Chat, entry: string): Promise<void>
  /** What can replace the text before the cursor. */
  completion(chat: Chat, text: string, cursor: number, signal: AbortSignal): Promise<Completion | undefined>
}

export interface ChatOptions {
  readonly io: Invocation
  readonly talk: ChatClient
  readonly look: Rendering
  /** Describes the conversation that is resumed, for the first line. */
  readonly head: string | undefined
  readonly commands: ChatCommands
  /** Takes the function that shows limbot's notes from now on. */
  readonly noteTo: (to: (line: string) => void) => void
}

/** Runs a chat. Resolves when the user leaves. */
export async function chat(o: ChatOptions): Promise<void> {
  const one = new Chat(o)
  try {
    await one.run()
  } finally {
    one.close()
  }
}

/** A chat between a user at a terminal and a model. */
export class Chat {
  readonly io: Invocation
  readonly talk: ChatClient
  readonly editor: Editor
  readonly history: History
  /** Files to send with the next message. */
  readonly attached: Attachment[] = []
  readonly look: Rendering
  readonly #head: string
  readonly #commands: ChatCommands
  #running: AbortController | undefined
  /** Entries that wait for the current answer to end. */
  readonly #next: string[] = []
  /** Shows, after LASTS_MS, that a command waits: it shows nothing itself meanwhile. */
  #slow: NodeJS.Timeout | undefined
  readonly #leaving = new AbortController()
  /**
   * The stream of the terminal on which the chat is shown: standard output, or standard error if that is not a
   * terminal.
   */
  readonly out: NodeJS.WriteStream
  readonly dim: (text: string) => string
  readonly #freeInterrupt: () => void

  constructor({ io, talk, look, head, commands, noteTo }: ChatOptions) {
    this.io = io
    this.talk = talk
    this.look = look
    this.#head = head ?? '/help lists the commands'
    this.#commands = commands
    this.out = io.stdout.isTTY ? io.stdout : io.stderr
    const { dim, bold } = io.colors(this.out)
    this.dim = dim
    noteTo(line => void this.note(line))
    const { settings } = talk
    this.history = new History(`${stateDir(io.env)}/limbot_history`, { warn: line => void this.note(line) })
    if (!settings.get('history')) this.history.off()
    this.editor = new Editor({
      input: io.stdin,
      output: this.out,
      history: this.history,
      prompt: () => bold(PROMPT),
      hold: true,
      env: io.env,
      editor: () => settings.get('editor'),
      more: text => (text.match(/"""/g)?.length ?? 0) % 2 === 1,
      complete: (text, cursor, signal) => this.#commands.completion(this, text, cursor, signal),
      interrupt: () => this.#interrupt(),
    })
    // for a SIGINT that does not come from a key that the editor reads
    this.#freeInterrupt = onInterrupt(() => this.#interrupt())
  }

  async run(): Promise<void> {
    const { io, talk } = this
    const { conversation } = talk
    await this.note(`limbot ${version()}: ${this.#head}`)
    if (conversation.unanswered !== undefined) await this.note('the last message has no answer; /retry sends it again')
    // connects while the user types, so that a missing server is reported early
    talk.link.root(this.#leaving.signal).catch(async error => {
      if (!this.#leaving.signal.aborted) await this.note(explain(error))
    })
    const signal = AbortSignal.any([io.signal, this.#leaving.signal])
    for (;;) {
      const entry = await this.editor.read(signal)
      if (entry === undefined) break
      if (entry.trim() === '') continue
      this.#next.push(entry)
      if (this.editor.busy) this.#queued()
      // a plain terminal cannot show an entry below a growing answer, so the next line is read when the answer is
      // complete
      else if (this.editor.plain) await this.#pump()
      else void this.#pump()
    }
    this.#running?.abort()
    while (this.editor.busy) await sleep(10)
    io.signal.throwIfAborted()
  }

  close(): void {
    this.#leaving.abort()
    this.#freeInterrupt()
    this.editor.close()
  }

  /** Shows a dim line from limbot itself. */
  note(line: string): Promise<void> {
    return this.print(this.#said(line, this.dim))
  }

  /** A line from limbot itself, made harmless and wrapped at spaces unless the terminal is plain. */
  #said(line: string, style: (text: string) => string): string {
    const columns = this.editor.plain ? Number.POSITIVE_INFINITY : (this.out.columns || 80) - 1
    return wrap([{ text: sanitize(line) }], columns)
      .map(({ text }) => `${style(text)}\n`)
      .join('')
  }

  /** Shows lines above the entry. */
  print(text: string): Promise<void> {
    return this.editor.above(text)
  }

  leave(): void {
    this.#leaving.abort()
  }

  /**
   * Sends a message to the model and shows the answer.
   * @param content the message as the model gets it
   * @param typed the message as the user typed it, without the text of attached files
   */
  async ask(content: string, typed = content): Promise<void> {
    clearTimeout(this.#slow)
    const running = this.#running!
    const { talk } = this
    const piped = !this.io.stdout.isTTY
    const view = new View(this, await setter(this.look, talk.settings.get('markdown') === true, this.io.stdout), piped)
    try {
      const steps = talk.ask(content, running.signal, typed)
      let step = await steps.next()
      for (; !step.done; step = await steps.next()) {
        const { value } = step
        if (value.is === 'text') await view.text(value.text)
        else if (value.is === 'note') await this.note(value.line)
        else if (value.is === 'resumed') view.resumed(value.worker)
        else view.state(state(value))
      }
      await view.end()
      const stopped = step.value.reason === 'cancelled'
      if (stopped) await this.note('[stopped]')
      else if (talk.settings.get('stats')) await this.note(footer(step.value, talk.room.context))
    } catch (error) {
      await view.end()
      if (running.signal.aborted) await this.note('[stopped]')
      else {
        await this.failed(error)
        const long = error instanceof FsError && error.is('contextFull')
        await this.note(long ? '/edit takes it back, so that you can shorten it' : '/retry sends it again')
      }
    }
    if (!this.editor.plain) await this.print('\n')
  }

  /** Aborts when the user ends the running entry or leaves. Everything that waits for the server takes it. */
  get signal(): AbortSignal {
    return this.#running?.signal ?? this.#leaving.signal
  }

  /** Shows a failure as one line. */
  failed(error: unknown): Promise<void> {
    return this.print(this.#said(explain(error), this.io.colors(this.out).red))
  }

  /** The status rows that show the waiting entries. */
  get waiting(): string[] {
    return this.#next.length ? [this.dim(sanitize(`next: ${this.#next.join(' · ').replaceAll('\n', ' ')}`))] : []
  }

  #queued(): void {
    this.editor.status = this.waiting
  }

  /** Handles the entries one after the other. */
  async #pump(): Promise<void> {
    this.editor.busy = true
    let first = true
    for (let entry = this.#next.shift(); entry !== undefined; entry = this.#next.shift()) {
      this.#running = new AbortController()
      if (!first && !this.editor.plain) await this.print(this.editor.shown(entry))
      first = false
      await this.#entry(entry)
      this.#running = undefined
      this.editor.status = []
      if (this.#leaving.signal.aborted || this.io.signal.aborted) break
    }
    this.editor.busy = false
  }

  async #entry(entry: string): Promise<void> {
    try {
      // a path (`/etc/hosts`) is not a command; a message that begins with a slash is typed with two
      if (/^\/[a-z?]+(\s|$)/i.test(entry)) {
        this.#slow = setTimeout(() => {
          this.editor.status = [this.dim('waiting · Ctrl-C to stop'), ...this.waiting]
        }, LASTS_MS)
        return await this.#commands.execute(this, entry)
      }
      const text = entry.replace(/^\/\//, '/').replace(/^"""\n?([\s\S]*?)\n?"""\s*$/, '$1')
      const files = [...this.attached, ...mentioned(text)]
      for (const { name, content } of files) await this.note(`attached ${name} (${bytes(Buffer.byteLength(content))})`)
      const typed = [text, ...this.attached.map(({ name }) => mentioning(name))].join(' ')
      this.attached.length = 0
      await this.ask(composed(text, files), typed)
    } catch (error) {
      await this.failed(error)
      // a message with a mistake goes back to the editor, so that the user can correct it
      if (error instanceof Failure && this.editor.text === '' && !entry.startsWith('/')) this.editor.prefill(entry)
    } finally {
      clearTimeout(this.#slow)
    }
  }

  /**
   * Ctrl-C: ends the running entry. Those that wait go back to the editor, before the text that is there.
   * @returns whether there was anything to do
   */
  #interrupt(): boolean {
    if (!this.#running) {
      if (!this.editor.plain) return false
      this.leave()
      return true
    }
    this.#running.abort()
    const waiting = this.#next.splice(0)
    if (waiting.length > 0) this.editor.prefill([...waiting, this.editor.text].filter(Boolean).join('\n'))
    return true
  }
}

/** Draws one answer while it arrives. */
class View {
  #held = ''
  #drawing: Promise<void> | undefined
  #state: string | undefined
  #worker: string | undefined
  #any = false
  #end = '\n'
  readonly #began = performance.now()
  #timer: NodeJS.Timeout | undefined

  constructor(
    readonly chat: Chat,
    readonly set: Renderer,
    /** Standard output is not the chat's terminal; answers go there unchanged. */
    readonly piped: boolean,
  ) {
    if (chat.editor.plain || piped) return
    this.#status()
    // the seconds must advance while nothing arrives
    this.#timer = setInterval(() => this.#status(), 500)
  }

  /** Takes a piece of the answer; all pieces of one frame are drawn together. */
  async text(text: string): Promise<void> {
    this.#state = undefined
    this.#any = true
    if (this.chat.editor.plain) clearTimeout(this.#timer)
    if (this.chat.editor.plain || this.piped) {
      const out = this.set.push(text)
      this.#end = out.at(-1) ?? this.#end
      return this.chat.io.print(out)
    }
    this.#held += text
    this.#drawing ??= sleep(FRAME_MS).then(() => this.#draw())
    // a slow terminal must slow the reader down, or the text would pile up here
    if (this.#held.length > 65536) await this.#drawing
  }

  state(text: string | undefined): void {
    if (text === undefined || text === this.#state) return
    this.#state = text
    if (!this.chat.editor.plain) return this.#status()
    // on a plain terminal a line stays, so a state that passes quickly does not get one
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => void this.chat.note(text), LASTS_MS)
  }

  /** Another worker continues the answer. */
  resumed(worker: string): void {
    this.#worker = worker
    if (!this.chat.editor.plain) this.#status()
  }

  async end(): Promise<void> {
    clearInterval(this.#timer)
    await this.#drawing
    if (!this.chat.editor.plain && !this.piped) {
      await this.chat.editor.above(this.set.push(this.#held) + this.set.end(), this.chat.waiting)
      this.#held = ''
    } else if (this.#any && this.#end !== '\n') await this.chat.io.print('\n')
  }

  async #draw(): Promise<void> {
    this.#drawing = undefined
    const text = this.#held
    this.#held = ''
    const rows = text === '' ? '' : this.set.push(text)
    await this.chat.editor.above(rows, this.#rows())
  }

  #status(): void {
    this.chat.editor.status = this.#rows()
  }

  /** The status rows: the text that is not final yet, the state, and the waiting entries. */
  #rows(): string[] {
    const columns = (this.chat.out.columns || 80) - 1
    const { dim } = this.chat
    const rest = sanitize(this.set.rest)
    // of a line that is too long, the end is shown
    const tail = width(rest) > columns ? `…${rest.slice(-(columns >> 1))}` : rest
    const seconds = ((performance.now() - this.#began) / 1000).toFixed(0)
    const doing = this.#state ?? (this.#any ? '' : 'waiting')
    const state = [doing, this.#worker && sanitize(`${this.#worker} took over`), `${seconds} s`, 'Ctrl-C to stop']
      .filter(Boolean)
      .join(' · ')
    return [...(tail ? [clip(tail, columns)] : []), dim(state), ...this.chat.waiting]
  }
}
