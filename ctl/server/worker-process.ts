/** The process of a worker: it joins a cluster, loads a model and answers prompts. */
import { writeFileSync } from 'node:fs'
import { FsError, fail } from '../../api/errors.js'
import { MAX_SPEC, parseWorkerSpec } from '../../api/worker.js'
import { codeOf, exitCode, explain, Failure } from '../../cli/exit.js'
import { modelDir } from '../../cli/paths.js'
import { type Config, readConfig } from '../../cli/settings.js'
import { guardOutput } from '../../cli/signals.js'
import { version } from '../../cli/version.js'
import type { SpawnSpec } from '../../cluster/host/process.js'
import { joinedOptions, joinedRoot, keepJoined } from '../../cluster/joining.js'
import { finish } from '../../cluster/leaving.js'
import { ModelStore } from '../../cluster/worker/models.js'
import { createWorker, type Worker } from '../../cluster/worker/worker.js'
import { type Cancel, systemClock } from '../../fs/base/clock.js'
import { quote } from '../../fs/base/quote.js'
import { type Connection, serve } from '../../fs/server/server.js'
import { answerQuestions } from '../../mnt/asking.js'
import { bundledModel, bundledModels } from './bundled.js'
import { engineOpener, firstModel } from './engine.js'
import { workerBudget } from './memory.js'
import { dialUpstream } from './upstream.js'
import { parentsUser, self } from './users.js'

/** What the host sends to the worker's standard input, as one line of JSON. */
export interface WorkerSpec extends SpawnSpec {
  /** The name of the machine. */
  readonly host: string
  /** The settings of its class. */
  readonly config: Config
  /** How long it lives without its cluster, in ms. */
  readonly orphan_ms: number
}

/**
 * The longest pause before a cluster on the same machine is dialled again, in ms. Dialling costs little there, and the
 * reader of an answer waits for this worker when the orchestrator was killed and has started again.
 */
const NEAR_PAUSE_MS = 500

/** The memory that a cluster needs to read a worker's status, in bytes: a fid, and a status with some models. */
const ASKED = 32 * 1024

const clock = systemClock
const note = (line: string) => process.stderr.write(`${line}\n`)

/** Loads the model that the worker should hold or, where that fails, the model of its class. Never rejects. */
async function loadFirst(worker: Worker, { config, hold }: WorkerSpec): Promise<void> {
  const own = firstModel(config)
  const models = hold === 'none' ? [] : hold === undefined || hold === own ? [own] : [hold, own]
  for (const model of models) {
    if (model === undefined) return
    try {
      return await worker.load(model)
    } catch (error) {
      note(`${model}: ${explain(error)}`)
    }
  }
}

/**
 * Runs a worker until it is asked to end (SIGTERM, or `shutdown` in its `ctl`). The process exits where its cluster is
 * away for too long.
 * @returns the exit code
 */
async function run(spec: WorkerSpec): Promise<number> {
  const { config } = spec
  const { env } = process
  const owner = self()
  const own = modelDir(env)
  const store = new ModelStore([own, bundledModels], { owner })
  const budget = workerBudget(config.memory)
  const leaving = new AbortController()
  const ended = new AbortController()

  const worker = createWorker({
    name: 'worker-0000',
    version: version(),
    owner,
    store,
    open: engineOpener(config, store, env),
    slots: spec.class.slots,
    budget,
    ...(config['engine.context'] && { context: config['engine.context'] }),
    // at any temperature but 0 the bundled model, which knows little, produces noise
    defaults: model => (model === bundledModel ? { temperature: 0 } : {}),
    mounts: () => [`bind -c ${quote(own)} models`, `bind -a ${quote(bundledModels)} models`],
    shutdown: () => leaving.abort(),
    id: spec.id,
    boot: spec.boot,
    host: spec.host,
    host_id: spec.host_id,
    class: spec.class.name,
    ...(spec.class.prefer !== undefined && { prefer: spec.class.prefer }),
    ...(spec.class.type !== undefined && { type: spec.class.type }),
  })

  // a second SIGTERM ends the process at once
  process.on('SIGTERM', () => (leaving.signal.aborted ? process.exit(exitCode.terminated) : leaving.abort()))

  /** The connections on which the cluster has attached. One that is only open may lead to a cluster that hangs. */
  const attached = new Set<Connection>()
  let orphan: Cancel
  const alone = () => {
    orphan = clock.after(spec.orphan_ms, () => {
      note(`no connection to the cluster at ${spec.upstream.address} for ${spec.orphan_ms / 1000} s; exiting`)
      process.exit(exitCode.unreachable)
    })
  }
  alone()
  const joined = keepJoined(
    {
      clock,
      random: Math.random,
      dial: signal => dialUpstream(spec.upstream, signal),
      ...(spec.upstream.address.startsWith('unix!') && { longest_ms: NEAR_PAUSE_MS }),
      serve: transport => {
        const session: Connection = serve(transport, {
          attachOptions: joinedOptions,
          attach: who => {
            const user = parentsUser(who)
            orphan()
            attached.add(session)
            return { root: joinedRoot(worker.root, spec.secret, owner, who.options), user }
          },
          onerror: error => note(`fault: ${error instanceof Error ? (error.stack ?? error.message) : error}`),
          onfail: worker.failed,
          onwrite: worker.succeeded,
          // The connection itself is not counted, because it belongs to the cluster. The cluster reads the status as
          // our owner, so ASKED bytes are granted even where the owner's prompts have used up the owner's share.
          hold: user => user && budget.hold(user, user.role === 'admin' ? ASKED : 0),
        })
        void session.closed.then(() => {
          if (attached.delete(session) && attached.size === 0) alone()
        })
        return session
      },
    },
    ended.signal,
  )

  // the worker is served while it loads and also where the load fails, because the cluster may then load another model
  void loadFirst(worker, spec).then(() => process.stdout.write('ready\n'))

  if (!leaving.signal.aborted)
    await new Promise(resolve => leaving.signal.addEventListener('abort', resolve, { once: true }))
  await finish(worker, attached, clock)
  ended.abort()
  await worker.close()
  await joined
  return exitCode.ok
}

process.umask(0o077)
answerQuestions()
// the host that reads our output may be killed before us
guardOutput('ignore')
try {
  // where memory runs out, the kernel kills a worker before the orchestrator, which can do without the worker
  writeFileSync('/proc/self/oom_score_adj', '500')
} catch {
  // not Linux
}
const failed = (error: unknown): never => {
  if (error instanceof Error && !(error instanceof Failure || error instanceof FsError)) note(error.stack ?? '')
  note(explain(error))
  process.exit(codeOf(error))
}
process.on('uncaughtException', failed).on('unhandledRejection', failed)

/**
 * Reads the specification from standard input.
 * @throws FsError where it is invalid, because a person has started this program
 */
async function told(): Promise<WorkerSpec> {
  const parts: Buffer[] = []
  let length = 0
  for await (const part of process.stdin) {
    length += part.length
    if (length > 4 * MAX_SPEC) break
    parts.push(part)
  }
  try {
    const spec = parseWorkerSpec(Buffer.concat(parts).toString('utf8'))
    return { ...spec, config: readConfig(spec.config) }
  } catch (error) {
    throw fail('badArgument', `standard input: ${(error as Error).message}; to start a worker: llamboctl spawn`)
  }
}

process.exit(await run(await told()))
