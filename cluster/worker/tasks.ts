import { type FsError, fail } from '../../fs/errors.js'
import type { Context, Entry, File, Owner, User } from '../../fs/file.js'
import { bytes, text } from '../../fs/kit/content.js'
import { ctl, word, word1 } from '../../fs/kit/ctl.js'
import { generated } from '../../fs/kit/dir.js'
import type { Feed } from '../../fs/kit/feed.js'
import { logFile } from '../../fs/kit/log.js'
import type { Sampling } from './engine/engine.js'
import * as limits from './limits.js'
import type { Loaded, Loader } from './loader.js'
import type { Metrics } from './metrics.js'
import type { Request } from './request.js'
import { number } from './settings.js'
import { Task } from './task.js'

export interface Submission {
  user: User
  request: Request
  prompt: string
  sampling: Sampling
  session?: string
  /** Earlier turns of its session: it does not start before this is settled, and starts then with what `prepare` gives. */
  after?: Promise<unknown>
  /** Called when it is about to run: the request as it then is. */
  prepare?: () => Request
  onEnd?: (task: Task) => void
}

/** A worker's exchanges: those that wait for a slot, those that run, and those that lately ended. */
export class Tasks {
  draining = false
  readonly #tasks = new Map<string, Task>()
  #queue: Task[] = []
  /** Turns that wait for an earlier one of their session: not in the queue yet, but as many bytes. */
  readonly #held = new Set<Task>()
  #last = 0
  /** How long a task has lately taken, in s: what the estimate in `queue full` and `eta_s` is made from. */
  #usual_s = 1
  /** Time to first token of late, in ms. */
  #latency_ms = 0

  constructor(
    readonly worker: string,
    readonly loader: Loader,
    readonly events: Feed,
    readonly metrics: Metrics,
  ) {
    setInterval(() => this.#forgetOld(), 60_000).unref()
  }

  get queued(): number {
    return this.#queue.length
  }

  get active(): number {
    return this.loader.current?.running ?? 0
  }

  /** Refuses what need not even be written: throws what a submission would fail with. */
  accept(): void {
    if (this.draining) throw fail('shuttingDown', 'this worker takes no new prompts; resume ends that')
    if (!this.loader.current && this.loader.loading === undefined)
      throw fail('loading', "write 'load MODEL' to ctl; models/ lists them")
    const waiting = [...this.#queue, ...this.#held]
    const bytes = waiting.reduce((n, task) => n + task.size, 0)
    if (waiting.length >= limits.MAX_QUEUE || bytes >= limits.MAX_QUEUE_BYTES)
      throw fail('queueFull', Math.ceil(this.#wait(waiting.length)))
  }

  /** Begins an exchange. A refusal is a task that has failed, so that its reader gets the error. */
  submit(s: Submission): Task {
    try {
      this.accept()
      this.#known(s.request)
    } catch (error) {
      return this.refuse(s, error as Error)
    }
    const task = this.#add(s)
    this.events.add('task-queued', { task: task.id, user: s.user.name, session: s.session })
    const enter = () => {
      this.#held.delete(task)
      if (task.ended) return
      if (s.prepare) task.request = s.prepare()
      this.#queue.push(task)
      this.#place()
      task.announce()
      this.pump()
    }
    if (s.after) {
      this.#held.add(task)
      s.after.then(enter)
    } else enter()
    return task
  }

  /** A submission that failed before it was one: a task that only has its error. */
  refuse(s: Submission, error: Error): Task {
    const task = this.#add(s)
    task.refuse(error)
    return task
  }

  #add(s: Submission): Task {
    const id = String(++this.#last)
    const task = new Task(id, s.user, s.request, s.prompt, s.sampling, this.worker, s.session, ended => {
      this.#queue = this.#queue.filter(other => other !== ended)
      this.#held.delete(ended)
      this.metrics.ended(ended)
      // everybody reads events: what follows the kind of error may quote what its user wrote
      const error = ended.error?.message.split(': ', 1)[0]
      this.events.add(`task-${ended.state}`, { task: id, user: s.user.name, error })
      s.onEnd?.(ended)
      this.#place()
    })
    this.#tasks.set(id, task)
    this.#forgetOld()
    return task
  }

  /** Starts what can start. Called whenever a slot, a model or a task has come. */
  pump(): void {
    for (;;) {
      const loaded = this.loader.current
      if (!loaded || loaded.running >= loaded.engine.slots) return
      const task = this.#next(loaded)
      if (!task) return
      this.#queue.splice(this.#queue.indexOf(task), 1)
      this.#place()
      loaded.running++
      this.events.add('task-started', { task: task.id, user: task.user.name })
      const began = performance.now()
      void task.run(loaded.engine).then(() => {
        this.#usual_s = 0.8 * this.#usual_s + 0.2 * ((performance.now() - began) / 1000)
        if (task.ttft_ms !== undefined) this.#latency_ms = this.#latency_ms * 0.8 + task.ttft_ms * 0.2
        this.loader.release(loaded)
        this.pump()
      })
    }
  }

  /** The first that can run on this engine. Another may have come while they waited: who asked for the one before is refused. */
  #next(loaded: Loaded): Task | undefined {
    const { name, digest } = loaded.engine.model
    for (const task of [...this.#queue]) {
      const { request } = task
      if (request.model !== undefined && !is(loaded, request.model)) {
        if (request.model !== this.loader.loading) task.refuse(this.#unknown(request.model))
      } else if (request.digest !== undefined && request.digest !== digest)
        task.refuse(fail('badArgument', `digest: ${name} here is ${digest || 'without one'}`))
      else return task
    }
    return undefined
  }

  /** What `status` says of speed: tokens a second over all running, and the usual time to the first token. */
  rates(): { tok_s: number; latency_ms: number } {
    let tok_s = 0
    for (const task of this.#tasks.values()) if (task.state === 'running') tok_s += task.tok_s ?? 0
    return { tok_s: Math.round(tok_s * 10) / 10, latency_ms: Math.round(this.#latency_ms) }
  }

  /** No model will come: what waits for one fails with why. */
  fail(error: Error): void {
    for (const task of [...this.#queue]) task.stop(error)
  }

  /** Ends everything, at shutdown. */
  stop(error: FsError): void {
    for (const task of this.#tasks.values()) task.stop(error)
  }

  /** A model that is not this worker's is served by nobody here. */
  #known({ model }: Request): void {
    if (model === undefined) return
    const { current, loading } = this.loader
    if (!(current && is(current, model)) && model !== loading) throw this.#unknown(model)
  }

  #unknown(model: string): FsError {
    const here = this.loader.current?.engine.model.name
    return fail('noWorker', `${model}${here ? `: this one has ${here}` : ''}; models/ lists what can be loaded`)
  }

  #wait(places: number): number {
    return Math.max(1, (this.#usual_s * (places + 1)) / (this.loader.current?.engine.slots ?? 1))
  }

  #place(): void {
    this.#queue.sort((a, b) => b.priority - a.priority || Number(a.id) - Number(b.id))
    const free = (this.loader.current?.engine.slots ?? 0) - this.active
    this.#queue.forEach((task, i) => {
      task.position = Math.max(0, i - free + 1)
      task.eta_s = task.position ? Math.round(this.#wait(task.position - 1) * 10) / 10 : 0
    })
  }

  #forgetOld(): void {
    const before = performance.now() - limits.KEPT_TASK_MS
    let ended = 0
    let bytes = 0
    for (const task of this.#tasks.values()) {
      if (!task.ended) continue
      ended++
      bytes += task.size
    }
    // in order of submission, which is nearly that of ending
    for (const [id, task] of this.#tasks) {
      if (!task.ended) continue
      if (task.endedAt! > before && ended <= limits.KEPT_TASKS && bytes <= limits.KEPT_TASK_BYTES) continue
      this.#tasks.delete(id)
      this.#files.delete(id)
      ended--
      bytes -= task.size
    }
  }

  readonly #files = new Map<string, File>()

  /** `task/`: each user sees his own, an admin also that others' exist. */
  dir(owner: Owner): File {
    const visible = (task: Task, { user }: Context) => task.user.name === user.name || user.role === 'admin'
    return generated({
      owner,
      mode: 0o777,
      walk: (id, ctx) => {
        const task = this.#tasks.get(id)
        return task && visible(task, ctx) ? this.#file(task) : undefined
      },
      list: ctx => {
        const out: Entry[] = []
        for (const [id, task] of this.#tasks) if (visible(task, ctx)) out.push([id, this.#file(task)])
        return out
      },
    })
  }

  #file(task: Task): File {
    let file = this.#files.get(task.id)
    if (!file) this.#files.set(task.id, (file = this.#taskDir(task)))
    return file
  }

  #taskDir(task: Task): File {
    const owner = { name: task.user.name, uid: task.user.uid }
    const verbs = {
      cancel: word(() => task.cancel()),
      priority: word1(
        'N',
        arg => number('priority', arg, -10, 10, true),
        n => {
          task.priority = n
          this.#place()
        },
      ),
    }
    // rm -r works: its parts are removed without effect, the directory's own removal cancels and forgets
    const part = (file: File): File => ({ ...file, remove: () => undefined })
    const files = new Map<string, File>([
      ['ctl', part(ctl({ owner, verbs, read: () => `priority ${task.priority}\n` }))],
      ['prompt', part(bytes(`${task.prompt}\n`, { owner, mode: 0o400 }))],
      ['answer', part(logFile(() => task.answer, owner))],
      ['stream', part(logFile(() => task.stream, owner))],
      ['status', part(text(() => task.status(), { owner, mode: 0o440 }))],
      ['trace', part(text(() => task.traceText(), { owner, mode: 0o440 }))],
    ])
    return generated({
      owner,
      mode: 0o750,
      walk: name => files.get(name),
      list: () => files,
      remove: ({ user }) => {
        if (user.name !== owner.name && user.role !== 'admin') throw fail('permission')
        task.cancel()
        this.#tasks.delete(task.id)
        this.#files.delete(task.id)
      },
    })
  }
}

/** Whether an engine is what a request means: by the model's name, or as `load` was told. */
const is = ({ engine, asked }: Loaded, model: string) => model === engine.model.name || model === asked
