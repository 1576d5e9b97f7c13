import { createHash } from 'node:crypto'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Upstream } from '../../cluster/host/process.js'
import type { Host } from '../../cluster/host.js'
import { joinedOptions, joinedRoot, keepJoined } from '../../cluster/joining.js'
import { type Cancel, systemClock } from '../../fs/clock.js'
import { FsError } from '../../fs/errors.js'
import { type Session, serve } from '../../fs/server.js'
import type { Transport } from '../../fs/transport.js'
import type { OnDamaged } from '../common/aside.js'
import { codeOf, exitCode, explain, Failure } from '../common/exit.js'
import { readJoinFile, removeJoinFile, writeJoinFile } from '../common/joinfile.js'
import { privateDir, runtimeDir } from '../common/paths.js'
import { bornAt, isAlive } from '../common/serverfile.js'
import type { Config } from '../common/settings.js'
import { readWorkersFile } from '../common/workersfile.js'
import { checkEngines, startWorkers, workerSettings } from './classes.js'
import { aborted } from './foreground.js'
import { localHost } from './host.js'
import { machineIdentity } from './identity.js'
import { adopt } from './spawn.js'
import { dialUpstream } from './upstream.js'
import { parentsUser, self } from './users.js'

export interface JoinOptions {
  readonly upstream: Upstream
  readonly config: Config
  readonly env: NodeJS.ProcessEnv
  /** What a person should know. */
  readonly note: (line: string) => void
  /** Called once, when it is known how the first attempt went: joined, or that it goes on trying. */
  readonly begun: (said: string) => void
  /** Leaves the cluster. */
  readonly signal: AbortSignal
  /** Aborts where nobody wants to wait for answers under way any more. */
  readonly hurry?: AbortSignal
}

/** The workers of a machine that has joined, apart from those of a server on it. */
const WORKERS_FILE = 'join-workers.json'
/** Apart from that of a server's own host, too: should it be its cluster that is joined, that has two of one machine. */
const ID_FILE = 'join-id'
/** How long a worker lives without the cluster, in ms: that may be away for longer than one on the same machine. */
const ORPHAN_MS = 600_000
/** How long a worker may take to end when nobody wants to wait, in ms. */
const HURRY_MS = 500

/**
 * Joins a cluster with this machine as a host and workers on it, and stays in it until the signal, or `shutdown` in the host's
 * ctl: then the workers' answers are let end. What is only away is waited for, however long.
 * @throws Failure (auth) where the cluster does not let us in, or is another; where it does not take us, of another version say;
 *   where this user has joined one already
 */
export async function joinCluster(o: JoinOptions): Promise<void> {
  const { upstream, env } = o
  process.umask(0o077)
  checkEngines(o.config)
  privateDir(runtimeDir(env))
  claim(o)
  const started = new Date().toISOString()
  const pid = process.pid
  writeJoinFile({ pid, born: bornAt(pid), address: upstream.address, upstream: digest(upstream), started }, env)
  try {
    await stay(o)
  } finally {
    removeJoinFile(env)
  }
}

/** Refuses where this user's machine has joined; workers that were left in another cluster are asked to end. */
function claim({ upstream, config, env, note }: JoinOptions): void {
  const file = readJoinFile(env, damaged(note))
  if (file && isAlive(file))
    throw new Failure(
      exitCode.failed,
      `this machine has joined ${file.address} already (pid ${file.pid}); llamboctl leave leaves it`,
    )
  if (file?.upstream === digest(upstream)) return
  const path = join(runtimeDir(env), WORKERS_FILE)
  const { same, other } = readWorkersFile(path, workerSettings(config), 0, damaged(note))
  for (const worker of [...same, ...other]) adopt(worker)?.kill('SIGTERM')
  rmSync(path, { force: true })
}

const damaged =
  (note: (line: string) => void): OnDamaged =>
  (kept, why) =>
    note(`${kept}: it could not be restored (${why})`)

const digest = ({ address, token, fingerprint }: Upstream): string =>
  createHash('sha256')
    .update(JSON.stringify([address, token, fingerprint]))
    .digest('hex')

async function stay(o: JoinOptions): Promise<void> {
  const { upstream, note, env } = o
  const { config } = o
  const leaving = new AbortController()
  const left = new AbortController()
  let failure: unknown
  const fail = (error: unknown) => {
    failure ??= error
    leaving.abort()
  }
  const host = localHost({
    config,
    env,
    upstream,
    note,
    onDamaged: damaged(note),
    shutdown: () => leaving.abort(),
    refused: why => fail(new Failure(exitCode.failed, `${upstream.address} does not take this machine: ${why}`)),
    orphan_ms: ORPHAN_MS,
    file: WORKERS_FILE,
    idFile: ID_FILE,
  })
  const { secret } = machineIdentity(env, ID_FILE)
  const talk = new Talk(upstream.address, note, o.begun)
  let entered = false
  const joined = keepJoined(
    {
      clock: systemClock,
      random: Math.random,
      async dial(signal) {
        try {
          return await dialUpstream(upstream, signal)
        } catch (error) {
          // A cluster that has never let us in will not by being asked again.
          if (!entered && error instanceof FsError && codeOf(error) === exitCode.auth) fail(locked(error, upstream))
          throw error
        }
      },
      serve(transport) {
        const session = serveHost(transport, host, secret, note, reason => left.signal.aborted || talk.lost(reason))
        talk.joined()
        if (!entered) {
          entered = true
          try {
            // those of a host that was killed are there already
            startWorkers(config, host)
          } catch (error) {
            fail(error)
          }
        }
        return session
      },
      onPause: error => error && failure === undefined && talk.away(error),
    },
    left.signal,
  )
  await aborted(AbortSignal.any([o.signal, leaving.signal]))
  if (failure === undefined) note('leaving …')
  o.hurry?.addEventListener('abort', () => void host.close(HURRY_MS), { once: true })
  if (o.hurry?.aborted) void host.close(HURRY_MS)
  // each is still joined while its answers end
  await Promise.all(host.workers.map(({ id }) => host.stop(id)))
  left.abort()
  await joined
  // and any that the cluster has had started meanwhile
  await host.close()
  if (failure !== undefined) throw failure
}

/** Why a door stays shut, and what opens it. */
function locked(error: FsError, { fingerprint }: Upstream): Failure {
  const remedy = error.is('authRequired')
    ? 'llamboctl invite, on the machine of the server, makes one that is good for joining'
    : fingerprint === undefined
      ? 'give the --fingerprint that llamboctl invite prints on the machine of the server'
      : 'this is another server, or it has a new certificate: see what llamboctl invite prints there'
  return new Failure(exitCode.auth, `${error.message}; ${remedy}`, { cause: error })
}

/** Serves the host's files to the cluster, which is believed in whom it asks for. */
function serveHost(
  transport: Transport,
  host: Host,
  secret: string,
  note: (line: string) => void,
  lost: (reason?: Error) => unknown,
): Session {
  const session = serve(transport, {
    attachOptions: joinedOptions,
    attach: who => ({ root: joinedRoot(host.root, secret, self(), who.options), user: parentsUser(who) }),
    onerror: error => note(`fault: ${error instanceof Error ? (error.stack ?? error.message) : error}`),
  })
  const { onclose } = transport
  transport.onclose = reason => {
    lost(reason)
    onclose(reason)
  }
  return session
}

/** A connection that held this long, in ms, was a good one. */
const GOOD_MS = 10_000
/** After so many in a row that did not hold, each further one is not worth a word. */
const FLAPS = 3

/** Says how it goes, and nothing over and over: a cluster may be away for a night. */
class Talk {
  #begun = false
  /** Why it could not be had, since it was there last: each reason is said once. */
  readonly #away = new Set<string>()
  #flaps = 0
  #since = 0
  #holds: Cancel = () => undefined

  constructor(
    readonly address: string,
    readonly note: (line: string) => void,
    readonly begun: (said: string) => void,
  ) {}

  joined(): void {
    this.#since = systemClock.now()
    this.#away.clear()
    if (this.#flaps < FLAPS) return this.#say(`joined ${this.address}`)
    this.#holds = systemClock.after(GOOD_MS, () => this.#say(`joined ${this.address}`), true)
  }

  /** The connection has ended. */
  lost(reason: Error | undefined): void {
    this.#holds()
    this.#flaps = systemClock.now() - this.#since < GOOD_MS ? this.#flaps + 1 : 0
    if (this.#flaps > FLAPS) return
    const why = reason ? ` (${explain(reason)})` : ''
    const silent = this.#flaps === FLAPS ? ', and silent until one holds' : ''
    this.#say(`the connection to ${this.address} has ended${why}; trying again${silent}`)
  }

  /** It could not be had. */
  away(error: Error): void {
    const why = explain(error)
    if (this.#away.has(why)) return
    this.#away.add(why)
    this.#say(`${why}; trying again until it is there`)
  }

  #say(line: string): void {
    this.note(line)
    if (!this.#begun) this.begun(line)
    this.#begun = true
  }
}
