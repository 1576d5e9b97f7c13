/** One conversation and the files of its directory, `session/N/`. */
import { MAX_TTL_S, MAX_TURNS } from '../../api/conversation.js'
import { fail } from '../../api/errors.js'
import * as field from '../../api/field.js'
import type { SavedSession } from '../../api/session.js'
import { json } from '../../api/text.js'
import type { Written } from '../../api/written.js'
import type { Cancel, Clock } from '../../fs/base/clock.js'
import { andThen } from '../../fs/base/maybe-promise.js'
import { quote, record } from '../../fs/base/quote.js'
import type { Context, File, User } from '../../fs/file.js'
import { newQid } from '../../fs/file.js'
import { AppendLog } from '../../fs/kit/append-log.js'
import { now, slice, text } from '../../fs/kit/content.js'
import { ctl, type Verb, word, word1 } from '../../fs/kit/ctl.js'
import { generated } from '../../fs/kit/dir.js'
import { byLine, editable, Pieces, type Writer } from '../../fs/kit/editable.js'
import type { Budget, BudgetShare } from './budget.js'
import { type Exchange, exchange } from './exchange.js'
import type { ChatMessage, Sampling } from './generation.js'
import * as limits from './limits.js'
import { layered, message, parseRequest, plainRequest, type Request } from './request.js'
import { Scratch } from './scratch.js'
import { modelWord, number, type Settings, samplingLines, samplingVerbs } from './settings.js'
import type { Spills } from './spills.js'
import type { Task } from './task.js'
import type { Submission, Tasks } from './tasks.js'
import { jsonBytes, textBytes } from './weight.js'

type Turn = ChatMessage & { stopped?: true }

/** What a session needs from its root. */
export interface SessionDeps {
  readonly tasks: Tasks
  /** The root's settings. Those of a session take precedence. */
  readonly settings: Settings
  /** The sampling that suits the request's model, where neither the user nor the operator has set anything. */
  base(request: Request): Partial<Sampling>
  onError(error: Error, ctx: Context, file: string): void
  /** Returns the number of a new session. */
  id(): string
  /**
   * A session has changed; `session` is undefined if it has ended.
   * @param added the messages added to its history, if nothing else has changed
   */
  changed(id: string, session: Session | undefined, added?: readonly Turn[]): void
  readonly clock: Clock
  readonly budget: Budget
  /** Where long transcripts go; undefined: they stay in memory. */
  readonly spills: Spills | undefined
}

/**
 * One conversation. This server, which created the session, holds its history; an engine only caches prefixes of it.
 */
export class Session {
  readonly dir: File
  readonly ctl: File
  settings: Settings = { sampling: {}, system: '' }
  closed = false
  #history: Turn[] = []
  #historyBytes = 0
  /**
   * Whether the history was edited since it was last saved. If so, saving only the messages of the next turn is not
   * enough.
   */
  #edited = false
  /** How many messages of the history an earlier server had saved. */
  #restored = 0
  /** The memory that its settings, its history and its scratch files take. */
  readonly #settingsHold: BudgetShare
  readonly #historyHold: BudgetShare
  readonly #scratchHold: BudgetShare
  readonly #scratch: Scratch
  #model: string | undefined
  #schema: object | undefined
  #ttl = limits.SESSION_TTL_S
  #opens = 0
  /**
   * Whether anybody has opened one of its files by number, or sent it a command. Until then it is only a number that
   * was read.
   */
  #used = false
  #timer: Cancel | undefined
  /** Settles when the last submitted turn has ended: the prompts of a session run in order. */
  #tail: Promise<unknown> = Promise.resolve()
  readonly #running = new Set<Task>()
  #last: Task | undefined
  readonly #log: AppendLog
  readonly #releaseLog: () => void
  #logTime = now()
  #newest: Record<'data' | 'generate', Exchange | undefined> = { data: undefined, generate: undefined }
  readonly #keeping: Record<'data' | 'generate', (() => void) | undefined> = { data: undefined, generate: undefined }

  constructor(
    readonly id: string,
    readonly user: User,
    readonly host: SessionDeps,
    readonly onClose: () => void,
  ) {
    const { budget } = host
    this.#settingsHold = budget.hold(user)
    this.#settingsHold.grow(limits.SESSION_BYTES)
    this.#historyHold = budget.hold(user)
    this.#scratchHold = budget.hold(user)
    this.#log = new AppendLog(limits.MAX_HISTORY, budget.hold(user))
    this.#log.spillTo(host.spills?.of(user.name))
    const owner = { name: user.name, uid: user.uid }
    const onOpen = () => this.#opened()
    const common = { owner, mode: 0o600, onOpen }
    this.ctl = ctl({
      ...common,
      verbs: this.#verbs(),
      read: () => this.#settingsText(),
      changed: () => {
        this.#use()
        this.#changed()
      },
    })
    const files: Record<string, File> = {
      ctl: this.ctl,
      data: exchange({
        ...common,
        limit: limits.MAX_PROMPT,
        accept: () => host.tasks.accept(user, { ...plainRequest([]), model: this.#model }),
        submit: (prompt, ctx) => {
          const content = prompt.replace(/\r?\n$/, '')
          const task = this.turn(plainRequest([{ role: 'user', content }]), content, textBytes(content), ctx)
          return this.#remember('data', task)
        },
        refused: (error, ctx) => this.#refused('data', error, ctx),
        newest: () => this.#newest.data,
      }),
      generate: exchange({
        ...common,
        limit: limits.MAX_REQUEST,
        accept: () => host.tasks.accept(user),
        submit: (json, ctx) => this.generate(json, ctx),
        refused: (error, ctx) => this.#refused('generate', error, ctx),
        newest: () => this.#newest.generate,
      }),
      system: this.#systemFile(),
      history: this.#historyFile(),
      log: this.#logFile(),
      status: text(() => this.#status(), { ...common, mode: 0o400 }),
      trace: text(() => this.#last?.traceText() ?? '', { ...common, mode: 0o400 }),
    }
    // sed -i and editors write a new file beside one of these and rename it over that, or rename the old file first
    const scratch = new Scratch(
      owner,
      onOpen,
      new Map(Object.entries({ system: files.system!, history: files.history! })),
      name => Object.hasOwn(files, name),
      this.#scratchHold,
    )
    this.#scratch = scratch
    // for rm -r: removing a file does nothing, and removing the directory ends the session
    const entries = new Map(
      Object.entries(files).map(([name, file]) => [
        name,
        { ...file, ...scratch.changes(name), remove: () => undefined },
      ]),
    )
    this.dir = generated({
      owner,
      mode: 0o700,
      walk: name => {
        if (this.closed) return undefined
        this.#use()
        return entries.get(name) ?? scratch.walk(name)
      },
      list: () => [...entries, ...scratch.entries()],
      create: (name, perm, how, ctx) => scratch.create(name, perm, how, ctx),
      remove: ctx => {
        if (ctx.user.name !== user.name) throw fail('permission')
        this.close()
      },
    })
    this.#releaseLog = this.#log.keep()
    this.#rest()
  }

  /**
   * Whether a listing shows it. A session made by reading `clone`, and closed again, is only a number until somebody
   * uses it.
   */
  get listed(): boolean {
    return this.#used || this.#opens > 0
  }

  get busy(): boolean {
    return this.#running.size > 0
  }

  /** Submits a JSON request written to this session's `generate`. */
  generate(json: string, ctx: Context): Exchange {
    let request: Request
    const bytes = jsonBytes(json)
    try {
      this.host.budget.check(this.user.name, bytes)
      request = parseRequest(json)
      if (request.session !== undefined && request.session !== this.id)
        throw fail('badArgument', `session ${request.session}: this is session ${this.id}`)
      if (!request.generate.messages) throw fail('badArgument', 'prompt: a session accepts messages only')
    } catch (error) {
      this.#refused('generate', error as Error, ctx)
      return this.#newest.generate!
    }
    const task = this.turn(request, request.generate.messages.at(-1)?.content ?? '', bytes, ctx)
    return this.#remember('generate', { answer: task.stream, abandon: () => task.abandon() })
  }

  /** Keeps the newest exchange until there is a newer one. */
  #remember(file: 'data' | 'generate', exchange: Exchange): Exchange {
    const release = exchange.answer.keep()
    this.#keeping[file]?.()
    this.#keeping[file] = release
    if (this.closed) release()
    return (this.#newest[file] = exchange)
  }

  /**
   * Submits the next turn: the request's messages appended to the history as it is when the earlier turns have ended.
   * @param bytes that request and prompt take in memory
   */
  turn(request: Request, prompt: string, bytes: number, ctx: Context): Task {
    this.#use()
    const added = request.generate.messages ?? []
    const model = request.model ?? this.#model
    const submission: Submission = {
      user: this.user,
      request: { ...request, model },
      prompt,
      bytes,
      asked: layered(this.host.settings.sampling, this.settings.sampling, request.generate),
      base: this.host.base(request),
      session: this.id,
      after: this.#tail,
      prepare: task => {
        task.grow(this.#historyHold.bytes)
        this.#write('user', prompt)
        const system = this.settings.system || this.host.settings.system
        const first: ChatMessage[] = system ? [{ role: 'system', content: system }] : []
        const past = this.#history.map(({ role, content }) => ({ role, content }))
        const schema = request.generate.schema ?? this.#schema
        return {
          ...request,
          model,
          generate: {
            ...request.generate,
            messages: [...first, ...past, ...added],
            ...(schema !== undefined && { schema }),
          },
        }
      },
      onEnd: task => {
        if (task.error) this.host.onError(task.error, ctx, this.#path)
        this.#ended(task, added, ctx)
      },
    }
    const task = this.closed
      ? this.host.tasks.refuse(submission, fail('notFound', `session/${this.id} is closed`))
      : this.host.tasks.submit(submission)
    this.#last = task
    if (!task.ended) this.#runs(task)
    return task
  }

  /** Ends the session for good: the user has closed it, or its time to live has passed. */
  close(): void {
    if (this.closed) return
    this.leave()
    // a program that has one of its files open would keep their content in memory, and the budget no longer counts it
    this.#clear()
    this.#scratch.end()
    this.settings = { sampling: {}, system: '' }
    this.#schema = undefined
    this.host.changed(this.id, undefined)
  }

  /** Ends the session in this process. What was saved remains for the next server. */
  leave(): void {
    if (this.closed) return
    this.closed = true
    this.#timer?.()
    for (const task of this.#running) task.cancel()
    this.#log.end()
    for (const release of Object.values(this.#keeping)) release?.()
    this.#releaseLog()
    this.#settingsHold.free()
    this.#historyHold.free()
    this.#scratchHold.free()
    this.onClose()
  }

  /** The state to save; the next server passes it to `restore`. */
  saved(): Written<SavedSession> {
    const { user, settings } = this
    return { user, settings, model: this.#model, schema: this.#schema, ttl: this.#ttl, history: this.#history }
  }

  /** Takes over a saved state. @throws FsError if there is no room for it */
  restore({ settings, model, schema, ttl, history }: SavedSession): void {
    this.#weigh(settings.system, schema)
    this.settings = { sampling: settings.sampling, system: settings.system }
    this.#model = model
    this.#schema = schema
    this.#used = true
    this.#ttl = ttl
    this.#restored = history.length
    this.#add(...history)
    for (const { role, content } of history) this.#write(role, `${content}${role === 'user' ? '' : '\n'}`)
    this.#rest()
  }

  /**
   * Takes over a turn that an earlier server began: its new messages are those behind the saved history. The history
   * may be longer by now, since a later turn may have ended before this one was found.
   */
  adopted(request: Request, ctx: Context): { began(task: Task): void; ended(task: Task): void } {
    const all = request.generate.messages ?? []
    const added = all.slice((all[0]?.role === 'system' ? 1 : 0) + this.#restored)
    return {
      began: task => {
        this.#last = task
        this.#runs(task)
      },
      ended: task => {
        if (task.error) this.host.onError(task.error, ctx, this.#path)
        this.#ended(task, added, ctx)
      },
    }
  }

  /** Marks a task as waiting or running: later prompts run after it. */
  #runs(task: Task): void {
    this.#running.add(task)
    this.#timer?.()
    // wait for all earlier turns too: a turn that is cancelled while it waits must not let the next one overtake them
    const before = this.#tail
    const told = this.#follow(task)
    this.#tail = before.then(() => told)
  }

  /** Called when somebody opens one of its files by number, or says something in it. */
  #use(): void {
    if (this.#used) return
    this.#used = true
    this.#rest()
  }

  /** Counts the settings as they are about to be. @throws FsError if there is no room, or the session has ended */
  #weigh(system: string, schema: unknown): void {
    this.#open()
    const json = schema === undefined ? 0 : jsonBytes(JSON.stringify(schema))
    this.#settingsHold.resize(limits.SESSION_BYTES + textBytes(system) + json)
  }

  #changed(added?: readonly Turn[]): void {
    if (this.closed) return
    this.host.changed(this.id, this, this.#edited ? undefined : added)
    this.#edited = false
  }

  #ended(task: Task, added: readonly ChatMessage[], ctx: Context): void {
    this.#running.delete(task)
    this.#rest()
    const content = task.answer.text()
    if (this.closed) return
    // a failed turn is not added; a cancelled answer is added and marked `stopped`
    if (task.state === 'failed' || (task.state === 'cancelled' && content === '')) return
    const stopped = task.state === 'cancelled'
    const answer: Turn = { role: 'assistant', content: content.replace(/\n$/, ''), ...(stopped && { stopped }) }
    const turns = [...added, answer]
    try {
      this.#add(...turns)
    } catch (error) {
      // the reader gets the answer all the same
      return this.host.onError(error as Error, ctx, this.#path)
    }
    this.#changed(turns)
  }

  /** Appends to the history. @throws FsError `file too large`, `over the memory budget of this server` */
  #add(...turns: Turn[]): void {
    const size = turns.reduce((n, turn) => n + Buffer.byteLength(turn.content), this.#historyBytes)
    if (size > limits.MAX_HISTORY)
      throw fail('tooLarge', `history over ${limits.MAX_HISTORY} bytes; write 'reset' to ctl to clear it`)
    if (this.#history.length + turns.length > MAX_TURNS)
      throw fail('tooLarge', `history over ${MAX_TURNS} messages; write 'reset' to ctl to clear it`)
    this.#historyHold.grow(turns.reduce((n, turn) => n + limits.TURN_BYTES + textBytes(turn.content), 0))
    this.#historyBytes = size
    for (const turn of turns) this.#history.push(turn)
  }

  #clear(): void {
    this.#history = []
    this.#historyBytes = 0
    this.#edited = true
    this.#historyHold.resize(0)
  }

  /** Copies an answer into the transcript as it is generated. */
  async #follow(task: Task): Promise<void> {
    const never = { signal: new AbortController().signal }
    let at = 0
    try {
      for (;;) {
        const piece = await task.answer.read(at, 65536, never)
        if (piece.length === 0) break
        if (at === 0) this.#write('assistant', '')
        at += piece.length
        this.#append(piece)
      }
    } catch (error) {
      this.#append(`${at ? '\n' : ''}[${(error as Error).message}]\n`)
    }
    this.#append('\n')
  }

  #write(role: string, content: string): void {
    this.#append(content ? `${role}: ${content}\n` : `${role}: `)
  }

  #append(data: string | Uint8Array): void {
    try {
      this.#log.append(data)
      this.#logTime = now()
    } catch {
      // the transcript is full; the conversation goes on, and `history` has it
      this.#log.end()
    }
  }

  /** Its path in the tree. */
  get #path(): string {
    return `session/${this.id}`
  }

  #refused(file: 'data' | 'generate', error: Error, ctx: Context): void {
    this.host.onError(error, ctx, `${this.#path}/${file}`)
    const answer = new AppendLog()
    answer.end(error)
    this.#remember(file, { answer, abandon: () => undefined })
  }

  #open(): void {
    if (this.closed) throw fail('notFound', `session/${this.id} is closed`)
  }

  #idle(): void {
    this.#open()
    if (this.busy) throw fail('sessionBusy', 'an answer is being generated; cancel ends it')
  }

  /** Counts one more open file. @returns a function to call when the file is closed */
  #opened(): () => void {
    this.#opens++
    this.#timer?.()
    let open = true
    return () => {
      if (!open) return
      open = false
      this.#opens--
      this.#rest()
    }
  }

  /** Starts the time to live if nothing is open and nothing is running. */
  #rest(): void {
    this.#timer?.()
    if (this.closed || this.#opens > 0 || this.busy) return
    const ttl = this.#used ? this.#ttl : Math.min(this.#ttl, limits.UNUSED_TTL_S)
    this.#timer = this.host.clock.after(ttl * 1000, () => this.close(), true)
  }

  #verbs(): Record<string, Verb> {
    const settings = () => this.settings
    return {
      model: word1('NAME', modelWord, name => {
        this.#model = name || undefined
      }),
      ...samplingVerbs(settings),
      schema: word1(
        'JSON',
        arg => {
          if (arg === '') return undefined
          try {
            return field.some(json(arg, 'schema', limits.MAX_PROMPT, limits.MAX_JSON_DEPTH), 'schema')
          } catch (error) {
            throw fail(
              'badArgument',
              `${(error as Error).message}; expected a JSON schema in single quotes, or '' for no schema`,
            )
          }
        },
        schema => {
          this.#weigh(this.settings.system, schema)
          this.#schema = schema
        },
      ),
      ttl: word1(
        'S',
        arg => number('ttl', arg, 0, MAX_TTL_S),
        s => {
          this.#ttl = s
          this.#rest()
        },
      ),
      cancel: word(() => {
        for (const task of [...this.#running]) task.cancel()
      }),
      reset: word(() => {
        this.#idle()
        this.#clear()
      }),
      close: word(() => this.close()),
    }
  }

  #settingsText(): string {
    const lines = [
      ...(this.#model ? [`model ${quote(this.#model)}`] : []),
      ...samplingLines(this.settings.sampling),
      ...(this.#schema === undefined ? [] : [`schema ${quote(JSON.stringify(this.#schema))}`]),
      `ttl ${this.#ttl}`,
    ]
    return `${lines.join('\n')}\n`
  }

  #status(): string {
    const last = this.#last
    return `${record('session', {
      id: this.id,
      user: this.user.name,
      state: this.busy ? 'busy' : 'idle',
      model: this.#model,
      messages: this.#history.length,
      task: last?.id,
      prompt_tokens: last?.prompt_tokens,
      reused_tokens: last?.reused_tokens,
      completion_tokens: last?.completion_tokens,
      tok_s: last?.tok_s,
      ttl_s: this.#ttl,
      error: last?.error?.message,
    })}\n`
  }

  /** `system`: the written text replaces the system prompt when the file is closed or synced. */
  #systemFile(): File {
    return this.#editable(
      () => this.settings.system && `${this.settings.system}\n`,
      () => {
        this.settings.system = ''
        this.#weigh('', this.#schema)
      },
      () => {
        const all = new Pieces()
        return {
          take: piece => all.add(piece),
          get held() {
            return all.held
          },
          done: () => {
            const text = all.take()
            all.add(text)
            const system = text.replace(/\r?\n$/, '')
            this.#weigh(system, this.#schema)
            this.settings.system = system
          },
        }
      },
    )
  }

  /** `history`: one JSON message per line. Truncation empties it; written lines are appended. */
  #historyFile(): File {
    const add = (line: string) => {
      let json: unknown
      try {
        json = JSON.parse(line)
      } catch (error) {
        throw fail('badArgument', `history: not JSON: ${(error as Error).message}`)
      }
      this.#add(message(json, 'history'))
      this.#edited = true
    }
    return this.#editable(
      () => this.#history.map(turn => `${JSON.stringify(turn)}\n`).join(''),
      () => this.#clear(),
      () => byLine(add),
    )
  }

  #editable(read: () => string, clear: () => void, writer: () => Writer): File {
    return editable({
      owner: { name: this.user.name, uid: this.user.uid },
      limit: limits.MAX_HISTORY,
      check: () => this.#idle(),
      onOpen: () => this.#opened(),
      read,
      clear,
      writer,
      changed: () => this.#changed(),
    })
  }

  /** `log`: the transcript. It shows its true length and time, so that `tail -f`, which polls, can follow it. */
  #logFile(): File {
    const qid = newQid()
    const { name, uid } = this.user
    return {
      qid,
      attributes: () => ({
        mode: 0o400,
        owner: { name, uid },
        length: this.#log.length,
        mtime: this.#logTime,
        atime: this.#logTime,
      }),
      open: () => {
        const close = this.#opened()
        return {
          read: (offset, count, ctx) =>
            offset < this.#log.length
              ? andThen(this.#log.read(offset, count, ctx), piece => slice(piece, 0, count))
              : new Uint8Array(0),
          close,
        }
      },
    }
  }
}
