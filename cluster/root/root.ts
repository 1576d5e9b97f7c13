/**
 * The files that every root has, of a worker as of a cluster: `ctl`, `data`, `generate`, `status`, `session/`, `task/`
 * and the rest.
 */

import type { Embedded, EmbedRequest } from '../../api/embed.js'
import { fail } from '../../api/errors.js'
import type { Events } from '../../api/events.js'
import type { Request } from '../../api/request.js'
import type { Sampling } from '../../api/sampling.js'
import type { turnText } from '../../api/session.js'
import { type Clock, systemClock } from '../../fs/base/clock.js'
import type { Context, File, User } from '../../fs/file.js'
import { text } from '../../fs/kit/content.js'
import { Budget } from './budget.js'
import type { Executor } from './executor.js'
import { gauges } from './gauges.js'
import { Metrics } from './metrics.js'
import { RootCtl, type RootCtlOptions } from './root-ctl.js'
import { RootPrompts } from './root-prompts.js'
import type { Session } from './session.js'
import { Sessions } from './sessions.js'
import { layered } from './settings.js'
import type { Spills } from './spills.js'
import type { Task } from './task.js'
import { taskFiles } from './task-files.js'
import { Tasks } from './tasks.js'
import { UserMap } from './user-map.js'
import { jsonBytes } from './weight.js'

/** `owner` is the user of this process. If `saveSettings` is omitted, settings end with the process. */
export interface RootOptions extends RootCtlOptions {
  /** The worker that a task shows until one is chosen. */
  name: string
  clock?: Clock
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
  /** Computes vectors for texts. */
  embed(request: EmbedRequest, user: User, signal: AbortSignal): Promise<Embedded>
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
  readonly #clock: Clock
  readonly #ctl: RootCtl
  readonly #base: (request: Request) => Partial<Sampling>
  readonly #errors = new UserMap<string>()

  constructor(o: RootOptions) {
    const { name, owner, clock = systemClock, executor, events, queue, spills, mayPrioritise = () => true } = o
    const { budget = new Budget() } = o
    const last = { task: 0, session: 0 }
    const id = o.id ?? (kind => String(++last[kind]))
    const base = (request: Request) => o.base?.(request) ?? {}
    const common = { clock, budget, spills }
    this.events = events
    this.budget = budget
    this.#clock = clock
    this.#base = base
    this.#ctl = new RootCtl(o)
    const { settings } = this.#ctl
    const metrics = new Metrics(gauges(this, executor, spills))
    this.metrics = metrics
    const tasks = new Tasks({ ...common, name, executor, events, metrics, id: () => id('task'), queue, mayPrioritise })
    this.tasks = tasks
    const onError = (error: Error, { user }: Context, file: string) => this.failed(error, user, file)
    const changed: RootOptions['saveSession'] = (id, session, added) => o.saveSession?.(id, session, added)
    const own = { tasks, settings, base, onError, id: () => id('session'), changed }
    const sessions = new Sessions({ ...common, ...own }, owner)
    this.sessions = sessions
    const prompts = new RootPrompts({
      owner,
      tasks,
      sessions,
      budget,
      settings,
      base,
      embed: (request, user, signal) => o.embed(request, user, signal),
      failed: (error, user, file) => this.failed(error, user, file),
    })
    this.files = new Map<string, File>([
      ['ctl', this.#ctl.file],
      ['data', prompts.data],
      ['generate', prompts.generate],
      ['embed', prompts.embed],
      ['status', text(() => o.status(), { owner })],
      ['events', events.file(owner, 0o444)],
      ['event', events.stream(owner, 0o444)],
      ['error', text(({ user }) => this.#errors.get(user) ?? '', { owner })],
      ['metrics', text(() => metrics.text(), { owner })],
      ['models', o.models],
      ['session', sessions.dir],
      ['task', taskFiles(tasks, owner)],
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
      base: this.#base(request),
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

  /** Saves the current settings for the next server. */
  keepSettings(): void {
    this.#ctl.keep()
  }

  /**
   * Restores the settings of an earlier server. Lines that are no longer valid are reported in `events` and skipped.
   * @returns how many lines were skipped
   */
  restoreSettings(text: string, ctx: Context): number {
    return this.#ctl.restore(text, ctx)
  }
}
