import { randomUUID } from 'node:crypto'
import { fail } from '../../fs/errors.js'
import type { Context, File, Owner, User } from '../../fs/file.js'
import { text } from '../../fs/kit/content.js'
import { ctl, type Verb, word, word1 } from '../../fs/kit/ctl.js'
import { dir } from '../../fs/kit/dir.js'
import { type Exchange, exchange } from '../../fs/kit/exchange.js'
import { Feed } from '../../fs/kit/feed.js'
import { Log } from '../../fs/kit/log.js'
import { quote } from '../../fs/quote.js'
import { parseEmbedRequest } from './embed.js'
import type { ChatMessage, Sampling } from './engine/engine.js'
import * as limits from './limits.js'
import { Loader, type OpenEngine } from './loader.js'
import { Metrics } from './metrics.js'
import type { ModelStore } from './models.js'
import { parseRequest, plainRequest, type Request, sampling } from './request.js'
import { Sessions } from './sessions.js'
import { number, type Settings, samplingLines, samplingVerbs, systemVerb } from './settings.js'
import { stateOf, statusText } from './status.js'
import type { Task } from './task.js'
import { Tasks } from './tasks.js'
import { UserMap } from './user-map.js'

export interface WorkerOptions {
  /** What the worker is called in a tree: `worker-0001`. */
  name: string
  version: string
  /** Whose process this is: who owns its files. */
  owner: Owner
  store: ModelStore
  /** Opens an engine for a model by name or path, having checked the file. */
  open: OpenEngine
  slots: number
  context?: number
  /** What a model's prompts use where nobody has said anything: a small model wants to be greedy. */
  defaults?: (model: string) => Partial<Sampling>
  /** What `namespace` shows besides the worker's own files: where each part comes from, as ns(1) prints it. */
  mounts?: () => string[]
  /** `shutdown` was written to ctl. */
  shutdown(): void
}

export interface Worker {
  /** The worker's files. */
  readonly root: File
  /** The same with the worker itself as a directory in it, under its name: what a server with one engine serves. */
  readonly server: File
  readonly events: Feed
  load(model: string): Promise<void>
  /** Keeps a user's last failure for his `error` file; what serves the tree calls it for each it answers with. */
  failed(error: Error, user: User): void
  /** Ends all exchanges with `shutting down` and frees the model. */
  close(): Promise<void>
}

/** One engine served as files: everything namespace.md says of a worker. */
export function createWorker(o: WorkerOptions): Worker {
  const { owner, store } = o
  const identity = { name: o.name, id: randomUUID(), boot: randomUUID().slice(0, 8), version: o.version }
  const events = new Feed()
  const settings: Settings = { sampling: {}, system: '' }
  const errors = new UserMap<string>()
  const failed = (error: Error, user: User) => errors.set(user, error.message)
  const onError = (error: Error, ctx: Context) => failed(error, ctx.user)
  let broken = false

  const loader = new Loader(
    o.open,
    { slots: o.slots, ...(o.context && { context: o.context }) },
    (kind, model, error) => {
      if (kind !== 'unload-failed') broken = kind === 'load-failed' && !loader.current
      events.add(kind, { model, error: error?.message })
      if (broken && error) tasks.fail(error)
      tasks.pump()
    },
  )
  const metrics: Metrics = new Metrics({
    llambo_requests_running: { help: 'Requests being answered', value: () => tasks.active },
    llambo_requests_waiting: { help: 'Requests waiting for a slot', value: () => tasks.queued },
    llambo_slots: { help: 'Requests that can be answered at once', value: () => loader.current?.engine.slots ?? 0 },
    llambo_sessions: { help: 'Sessions alive', value: () => sessions.size },
    process_resident_memory_bytes: { help: 'Resident memory', value: () => process.memoryUsage.rss() },
  })
  const tasks: Tasks = new Tasks(o.name, loader, events, metrics)
  /** The settings under all others: what suits the model, then what ctl has said. */
  const base = () => ({
    ...o.defaults?.(loader.current?.engine.model.name ?? loader.loading ?? ''),
    ...settings.sampling,
  })
  const sessions = new Sessions({ tasks, settings, base, onError }, owner)

  const submit = (request: Request, prompt: string, ctx: Context): Task => {
    const { messages } = request.generate
    const system: ChatMessage[] =
      settings.system && messages && messages[0]?.role !== 'system'
        ? [{ role: 'system', content: settings.system }]
        : []
    const whole: Request = messages
      ? { ...request, generate: { ...request.generate, messages: [...system, ...messages] } }
      : request
    const task = tasks.submit({
      user: ctx.user,
      request: whole,
      prompt,
      sampling: sampling(base(), request.generate),
      onEnd: ended => {
        if (ended.error) onError(ended.error, ctx)
      },
    })
    return task
  }

  /** A file of the `data` kind whose exchanges are remembered a user. */
  const exchangeFile = (
    limit: number,
    begin: (prompt: string, ctx: Context) => Exchange,
    accept?: () => void,
  ): File => {
    const newest = new UserMap<Exchange>()
    const remember = (exchange: Exchange, ctx: Context) => {
      newest.set(ctx.user, exchange)
      return exchange
    }
    const refused = (error: Error, ctx: Context): Exchange => {
      onError(error, ctx)
      const answer = new Log()
      answer.end(error)
      return remember({ answer, abandon: () => undefined }, ctx)
    }
    return exchange({
      owner,
      limit,
      ...(accept && { accept }),
      submit: (prompt, ctx) => {
        try {
          return remember(begin(prompt, ctx), ctx)
        } catch (error) {
          return refused(error as Error, ctx)
        }
      },
      refused,
      newest: ctx => newest.get(ctx.user),
    })
  }

  const data = exchangeFile(
    limits.MAX_PROMPT,
    (prompt, ctx) => {
      // `echo` ends a prompt with a newline that nobody meant
      const content = prompt.replace(/\r?\n$/, '')
      return submit(plainRequest([{ role: 'user', content }]), content, ctx)
    },
    () => tasks.accept(),
  )

  const generate = exchangeFile(
    limits.MAX_REQUEST,
    (json, ctx) => {
      const request = parseRequest(json)
      if (request.session !== undefined) {
        const session = sessions.get(request.session, ctx)
        if (!session) throw fail('notFound', `session/${request.session}`)
        return session.generate(json, ctx)
      }
      const task = submit(request, request.generate.prompt ?? request.generate.messages?.at(-1)?.content ?? '', ctx)
      return { answer: task.stream, abandon: () => task.abandon() }
    },
    () => tasks.accept(),
  )

  const embed = exchangeFile(limits.MAX_REQUEST, (json, ctx) => {
    const texts = parseEmbedRequest(json)
    const engine = loader.current?.engine
    if (!engine) throw fail('loading', "write 'load MODEL' to ctl")
    const answer = new Log()
    const controller = new AbortController()
    engine
      .embed(texts, controller.signal)
      .then(vectors => {
        const embeddings = vectors.map(vector => [...vector])
        answer.append(`${JSON.stringify({ model: engine.model.name, embeddings })}\n`)
        answer.end()
      })
      // also an answer too large for the log
      .catch(error => {
        answer.end(error as Error)
        onError(error as Error, ctx)
      })
    return { answer, abandon: () => controller.abort(fail('cancelled')) }
  })

  const verbs: Record<string, Verb> = {
    load: word1('MODEL', String, model => loader.load(model)),
    unload: word(() => loader.unload()),
    drain: word(() => {
      tasks.draining = true
      events.add('draining')
    }),
    resume: word(() => {
      tasks.draining = false
      events.add('resumed')
    }),
    slots: word1(
      'N',
      arg => number('slots', arg, 1, 256, true),
      slots => loader.set({ slots }),
    ),
    context: word1(
      'N',
      arg => number('context', arg, 256, 16_777_216, true),
      context => loader.set({ context }),
    ),
    shutdown: word(() => o.shutdown()),
    system: systemVerb(() => settings),
    ...samplingVerbs(() => settings),
  }

  const settingsText = () => {
    const { slots, context } = loader.settings
    const model = loader.current?.asked
    const lines = [
      `slots ${slots}`,
      ...(context ? [`context ${context}`] : []),
      ...(model ? [`load ${quote(model)}`] : []),
      ...(tasks.draining ? ['drain'] : []),
      ...(settings.system ? [`system ${quote(settings.system)}`] : []),
      ...samplingLines(settings.sampling),
    ]
    return `${lines.join('\n')}\n`
  }

  const files = new Map<string, File>([
    ['ctl', ctl({ owner, verbs, read: settingsText })],
    ['data', data],
    ['generate', generate],
    ['embed', embed],
    [
      'status',
      text(() => statusText(identity, loader, tasks, store, stateOf(loader, tasks, broken), tasks.rates()), { owner }),
    ],
    ['events', events.file(owner, 0o444)],
    ['error', text(({ user }) => (errors.get(user) ? `${errors.get(user)}\n` : ''), { owner })],
    ['metrics', text(() => metrics.text(), { owner })],
    ['models', store.root],
    ['session', sessions.dir],
    ['task', tasks.dir(owner)],
    ['namespace', text(() => (o.mounts?.() ?? []).map(line => `${line}\n`).join(''), { owner })],
  ])
  const root = dir(files, owner)
  events.add('started', { worker: o.name, version: o.version, boot: identity.boot })

  return {
    root,
    server: dir(new Map([...files, [o.name, root]]), owner),
    events,
    load: model => loader.load(model),
    failed,
    async close() {
      tasks.draining = true
      // first: a session that closes cancels its turns, and theirs was not the wish
      tasks.stop(fail('shuttingDown'))
      sessions.close()
      await loader.close()
    },
  }
}
