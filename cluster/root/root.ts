/**
 * The files that every root has, of a worker as of a cluster: `ctl`, `data`, `generate`, `status`, `session/`, `task/`
 * and the rest.
 */

import { type Embedded, type EmbedRequest, parseEmbedRequest } from '../../api/embed.js'
import { fail } from '../../api/errors.js'
import type { Events } from '../../api/events.js'
import { type ChatMessage, parseRequest, plainRequest, type Request } from '../../api/request.js'
import type { Sampling } from '../../api/sampling.js'
import type { turnText } from '../../api/session.js'
import { type Clock, systemClock } from '../../fs/base/clock.js'
import { quote, words } from '../../fs/base/quote.js'
import type { Context, File, Owner, User } from '../../fs/file.js'
import { AppendLog } from '../../fs/kit/append-log.js'
import { text } from '../../fs/kit/content.js'
import { type CtlOptions, ctl, run, type Verb } from '../../fs/kit/ctl.js'
import { Budget } from './budget.js'
import type { Exchange } from './exchange.js'
import type { Executor } from './executor.js'
import * as limits from './limits.js'
import { Metrics } from './metrics.js'
import { PromptFile } from './prompt-file.js'
import type { Session } from './session.js'
import { Sessions } from './sessions.js'
import { layered, type Settings, samplingLines, samplingVerbs, systemVerb } from './settings.js'
import type { Spills } from './spills.js'
import type { Task } from './task.js'
import { taskFiles } from './task-files.js'
import { Tasks } from './tasks.js'
import { UserMap } from './user-map.js'
import { jsonBytes, textBytes } from './weight.js'

export interface RootOptions {
  /** The worker that a task shows until one is chosen. */
  name: string
  /** The user of this process, who owns the files. */
  owner: Owner
  clock?: Clock
  events: Events
  executor: Executor
  /** The memory that may be kept for users; unlimited if omitted. */
  budget?: Budget
  /** The files that long answers and transcripts go to. If omitted, they stay in memory. */
  spills?: Spills
  /**
   * Whether that user may use a priority above 0. Always true if omitted: on a worker, its cluster has decided that.
   */
  mayPrioritise?(user: User): boolean
  /** How many exchanges may wait, and for how long, in seconds. May change. */
  queue: { max: number; ttl_s: number }
  /** The sampling that suits the request's model, where neither the user nor the operator has set anything. */
  base?(request: Request): Partial<Sampling>
  /** Returns the number of a new task or session. */
  id?(kind: 'task' | 'session'): string
  /**
   * Saves a session. `added` are the messages that are new, if nothing else has changed; an undefined session has
   * ended. If omitted, sessions end with the process.
   */
  saveSession?(id: string, session: Session | undefined, added?: Parameters<typeof turnText>[0]): void
  /**
   * Saves the commands that would restore the current settings; the list may be empty. If omitted, settings end with
   * the process.
   */
  saveSettings?(lines: readonly string[]): void
  /** Computes vectors for texts. */
  embed(request: EmbedRequest, user: User, signal: AbortSignal): Promise<Embedded>
  /** The commands of this root's ctl, besides those that all roots have. */
  verbs: Record<string, Verb>
  /** The settings of those commands, as the commands that would set them. */
  settings(): string[]
  status(): Promise<string>
  models: File
  /** The lines of `namespace`: where each part of the tree comes from, as ns(1) prints it. */
  namespace?: () => string[]
}

/** The files that every root has, for workers and clusters alike, and the tasks behind them, which run on `executor`. */
export class Root {
  readonly files: Map<string, File>
  readonly events: Events
  readonly tasks: Tasks
  readonly metrics: Metrics
  readonly sessions: Sessions
  readonly budget: Budget
  readonly #o: RootOptions
  readonly #clock: Clock
  readonly #settings: Settings = { sampling: {}, system: '' }
  readonly #errors = new UserMap<string>()
  readonly #ctl: CtlOptions
  /** The settings before any command. */
  readonly #initial: readonly string[]

  constructor(o: RootOptions) {
    this.#o = o
    this.#clock = o.clock ?? systemClock
    const { owner, clock = systemClock, executor } = o
    const last = { task: 0, session: 0 }
    const id = o.id ?? (kind => String(++last[kind]))
    this.events = o.events
    this.budget = o.budget ?? new Budget()
    const { budget } = this
    const { spills } = o
    this.metrics = new Metrics({
      llambo_requests_running: () => executor.active,
      llambo_requests_waiting: () => this.tasks.queued,
      llambo_slots: () => executor.slots,
      llambo_sessions: () => this.sessions.size,
      llambo_memory_used_bytes: () => budget.used,
      ...(Number.isFinite(budget.limit) && {
        llambo_memory_limit_bytes: () => budget.limit,
        llambo_memory_refusals_total: () => budget.refused,
      }),
      ...(spills && {
        llambo_spill_used_bytes: () => spills.used,
        llambo_spill_limit_bytes: () => spills.disk.limit,
        llambo_spill_failing: () => Number(spills.failing),
      }),
      process_resident_memory_bytes: () => process.memoryUsage.rss(),
    })
    const { name, queue, mayPrioritise = () => true } = o
    const { events, metrics } = this
    const common = { clock, budget, spills }
    this.tasks = new Tasks({ ...common, name, executor, events, metrics, id: () => id('task'), queue, mayPrioritise })
    this.sessions = new Sessions(
      {
        tasks: this.tasks,
        settings: this.#settings,
        base: request => o.base?.(request) ?? {},
        onError: (error, ctx, file) => this.failed(error, ctx.user, file),
        id: () => id('session'),
        changed: (id, session, added) => o.saveSession?.(id, session, added),
        ...common,
      },
      owner,
    )
    const verbs = this.#verbs()
    const read = () =>
      this.#lines()
        .map(line => `${line}\n`)
        .join('')
    const changed = () => this.keepSettings()
    this.#ctl = { owner, verbs, read, changed }
    this.#initial = this.#lines()
    this.files = new Map<string, File>([
      ['ctl', ctl(this.#ctl)],
      ['data', this.#data()],
      ['generate', this.#generate()],
      ['embed', this.#embed()],
      ['status', text(() => o.status(), { owner })],
      ['events', events.file(owner, 0o444)],
      ['event', events.stream(owner, 0o444)],
      ['error', text(({ user }) => this.#errors.get(user) ?? '', { owner })],
      ['metrics', text(() => metrics.text(), { owner })],
      ['models', o.models],
      ['session', this.sessions.dir],
      ['task', taskFiles(this.tasks, owner)],
      ['namespace', text(() => (o.namespace?.() ?? []).map(line => `${line}\n`).join(''), { owner })],
    ])
  }

  /**
   * Keeps a user's last failure for their `error` file. Called for each failure that a request is answered with.
   * @param file path of the file that the failure is about
   */
  failed(error: Error, user: User, file: string): void {
    const time = new Date(this.#clock.date()).toISOString()
    this.#errors.set(user, `${time} ${file}: ${error.message}\n`)
  }

  /** Clears the `error` file of a user after a successful write. */
  succeeded(user: User): void {
    this.#errors.delete(user)
  }

  /** Takes over a task that an earlier server began, under its old number. The caller makes it run. */
  adopt(id: string, o: { user: User; request: Request; prompt: string; session?: string | undefined }): Task {
    const { user, request, session } = o
    const ctx = { user, signal: new AbortController().signal }
    const turn = session === undefined ? undefined : this.sessions.get(session, ctx)?.turns.adopt(request, ctx)
    const task = this.tasks.adopt(id, {
      ...o,
      bytes: jsonBytes(JSON.stringify(request)),
      asked: layered(request.generate),
      base: this.#o.base?.(request) ?? {},
      onEnd: ended => (turn ? turn.ended(ended) : ended.error && this.failed(ended.error, user, `task/${id}`)),
    })
    turn?.began(task)
    return task
  }

  /** Ends all exchanges with `shutting down`, and all sessions. */
  close(): void {
    // before the sessions: a session that closes cancels its turns, but nobody asked to cancel these
    this.tasks.stop(fail('shuttingDown'))
    this.sessions.close()
  }

  #verbs(): Record<string, Verb> {
    const settings = () => this.#settings
    return { ...this.#o.verbs, system: systemVerb(settings), ...samplingVerbs(settings) }
  }

  /** The settings, as the commands that would set them. */
  #lines(): string[] {
    const { system, sampling } = this.#settings
    return [...this.#o.settings(), ...(system ? [`system ${quote(system)}`] : []), ...samplingLines(sampling)]
  }

  /** Saves the current settings for the next server. */
  keepSettings(): void {
    this.#o.saveSettings?.(this.#lines().filter(line => !this.#initial.includes(line)))
  }

  /**
   * Restores the settings of an earlier server. Lines that are no longer valid are reported in `events` and skipped.
   * @returns how many lines were skipped
   */
  restoreSettings(text: string, ctx: Context): number {
    let failures = 0
    // settings are not saved while they are being restored
    const { changed: _, ...ctl } = this.#ctl
    const set = (line: string) => {
      try {
        run(ctl, line, ctx)
      } catch (error) {
        failures++
        this.events.add('not-restored', { setting: line, error: (error as Error).message })
      }
    }
    let lines: string[][]
    try {
      lines = words(text)
    } catch {
      set(text)
      return failures
    }
    for (const line of lines) set(line.map(quote).join(' '))
    return failures
  }

  /** Submits a request that belongs to no session. @param bytes that request and prompt take in memory */
  #submit(file: string, request: Request, prompt: string, bytes: number, ctx: Context): Task {
    const { messages } = request.generate
    const { system } = this.#settings
    const first: ChatMessage[] = system && messages?.[0]?.role !== 'system' ? [{ role: 'system', content: system }] : []
    const whole: Request = messages
      ? { ...request, generate: { ...request.generate, messages: [...first, ...messages] } }
      : request
    return this.tasks.submit({
      user: ctx.user,
      request: whole,
      prompt,
      bytes,
      asked: layered(this.#settings.sampling, request.generate),
      base: this.#o.base?.(request) ?? {},
      onEnd: ended => ended.error && this.failed(ended.error, ctx.user, file),
    })
  }

  #data(): File {
    return this.#promptFile(
      'data',
      limits.MAX_PROMPT,
      (prompt, ctx) => {
        // the newline that `echo` adds is not part of the prompt
        const content = prompt.replace(/\r?\n$/, '')
        return this.#submit('data', plainRequest([{ role: 'user', content }]), content, textBytes(content), ctx)
      },
      ({ user }) => this.tasks.accept(user, plainRequest([])),
    )
  }

  #generate(): File {
    return this.#promptFile(
      'generate',
      limits.MAX_REQUEST,
      (json, ctx) => {
        const bytes = jsonBytes(json)
        // before parsing: nested JSON takes many times its text
        this.budget.check(ctx.user.name, bytes)
        const request = parseRequest(json)
        if (request.session !== undefined) return this.sessions.generate(request.session, json, ctx)
        const { prompt, messages } = request.generate
        const task = this.#submit('generate', request, prompt ?? messages?.at(-1)?.content ?? '', bytes, ctx)
        return { answer: task.stream, abandon: () => task.abandon() }
      },
      ({ user }) => this.tasks.accept(user),
    )
  }

  #embed(): File {
    return this.#promptFile('embed', limits.MAX_REQUEST, (json, ctx) => {
      const hold = this.budget.hold(ctx.user)
      hold.grow(limits.TASK_BYTES + limits.COPIES * jsonBytes(json))
      let request: EmbedRequest
      try {
        request = parseEmbedRequest(json)
      } catch (error) {
        hold.free()
        throw error
      }
      const answer = new AppendLog(limits.MAX_ANSWER, this.budget.hold(ctx.user))
      const controller = new AbortController()
      this.#o
        .embed(request, ctx.user, controller.signal)
        .then(embedded => {
          answer.append(`${JSON.stringify(embedded)}\n`)
          answer.end()
        })
        // also if the answer is too large for the log
        .catch(error => {
          answer.end(error as Error)
          this.failed(error as Error, ctx.user, 'embed')
        })
        .finally(() => hold.free())
      return { answer, abandon: () => controller.abort(fail('cancelled')) }
    })
  }

  /** Makes a file that works like `data`. */
  #promptFile(
    file: string,
    limit: number,
    begin: (prompt: string, ctx: Context) => Exchange,
    accept?: (ctx: Context) => void,
  ): File {
    const failed = (error: Error, { user }: Context) => this.failed(error, user, file)
    return new PromptFile({ owner: this.#o.owner, limit, begin, failed, ...(accept && { accept }) }).file
  }
}
