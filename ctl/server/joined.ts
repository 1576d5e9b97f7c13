/** Joins a cluster with this machine as a host (`llamboctl join`). */
import { createHash } from 'node:crypto'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { FsError } from '../../api/errors.js'
import type { OnDamaged } from '../../cli/aside.js'
import { codeOf, exitCode, explain, Failure } from '../../cli/exit.js'
import { readJoinFile, removeJoinFile, writeJoinFile } from '../../cli/joinfile.js'
import { privateDir, runtimeDir, stateDir } from '../../cli/paths.js'
import { bornAt, isAlive } from '../../cli/serverfile.js'
import type { Config } from '../../cli/settings.js'
import type { Upstream } from '../../cluster/host/process.js'
import type { Host } from '../../cluster/host.js'
import { joinedOptions, joinedRoot, keepJoined } from '../../cluster/joining.js'
import { type Cancel, systemClock } from '../../fs/base/clock.js'
import { aborted } from '../../fs/base/interruptible.js'
import { type Connection, serve } from '../../fs/server/server.js'
import type { Transport } from '../../fs/transport.js'
import { checkEngines, startWorkers, workerSettings } from './classes.js'
import { localHost } from './host.js'
import { machineIdentity } from './identity.js'
import { claimLock } from './once.js'
import { adopt } from './spawn.js'
import { dialUpstream } from './upstream.js'
import { parentsUser, self } from './users.js'
import { readWorkersFile } from './workersfile.js'

export interface JoinOptions {
  readonly upstream: Upstream
  readonly config: Config
  readonly env: NodeJS.ProcessEnv
  /** Called with lines for a person. */
  readonly note: (line: string) => void
  /** Called once, with the result of the first attempt: that it has joined, or why not and that it goes on trying. */
  readonly begun: (said: string) => void
  /** Leaves the cluster. */
  readonly signal: AbortSignal
  /** Aborts when the user no longer wants to wait for answers that are being made. */
  readonly hurry?: AbortSignal
}

/** Records the workers of a machine that has joined, separately from those of a server on it. */
const WORKERS_FILE = 'join-workers.json'
/**
 * Holds the host's id, separately from that of a server on this machine: if that server's cluster is joined, it has two
 * hosts of one machine.
 */
const ID_FILE = 'join-id'
/** Says which process uses that id. */
const LOCK_FILE = 'join.lock'
/**
 * How long a worker lives without the cluster, in ms. A cluster elsewhere may be away for longer than one on the same
 * machine.
 */
const ORPHAN_MS = 600_000
/** How long a worker may take to end when the user does not want to wait, in ms. */
const HURRY_MS = 500

/**
 * Joins a cluster with this machine as a host, starts its workers and stays joined until the signal aborts or
 * `shutdown` is written to the host's `ctl`. Then the workers finish their answers and end. A cluster that cannot be
 * reached is dialled again, however long it takes.
 * @throws Failure (auth) where the cluster refuses the token, or shows another certificate; Failure where it refuses
 *   this host, for example because of its version, or where this user has joined a cluster already
 */
export async function joinCluster(o: JoinOptions): Promise<void> {
  const { upstream, env } = o
  process.umask(0o077)
  checkEngines(o.config)
  privateDir(runtimeDir(env))
  // beside the identity, which no two processes may use: join.json can be damaged, and is in another directory where
  // XDG_RUNTIME_DIR is not set
  const release = claimLock(join(privateDir(stateDir(env)), LOCK_FILE), pid => already(pid, env))
  try {
    claim(o)
    const started = new Date().toISOString()
    const pid = process.pid
    writeJoinFile({ pid, born: bornAt(pid), address: upstream.address, upstream: digest(upstream), started }, env)
    try {
      await stay(o)
    } finally {
      removeJoinFile(env)
    }
  } finally {
    release()
  }
}

/** The failure where another process of this user has joined a cluster, with the command that ends it. */
function already(pid: number, env: NodeJS.ProcessEnv): Failure {
  const file = readJoinFile(env)
  const [where, how] = file?.pid === pid ? [file.address, 'llamboctl leave'] : ['a server', `kill ${pid}`]
  return new Failure(exitCode.failed, `this machine has already joined ${where} (pid ${pid}); to leave it: ${how}`)
}

/** Ends the workers that a killed process left in another cluster. @throws Failure where that process runs */
function claim({ upstream, config, env, note }: JoinOptions): void {
  const file = readJoinFile(env, damaged(note))
  if (file && isAlive(file)) throw already(file.pid, env)
  if (file?.upstream === digest(upstream)) return
  const path = join(runtimeDir(env), WORKERS_FILE)
  const { same, other } = readWorkersFile(path, workerSettings(config), 0, damaged(note))
  for (const worker of [...same, ...other]) adopt(worker)?.kill('SIGTERM')
  rmSync(path, { force: true })
}

const damaged =
  (note: (line: string) => void): OnDamaged =>
  (kept, why) =>
    note(`${kept}: could not be restored (${why})`)

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
    refused: why => fail(new Failure(exitCode.failed, `${upstream.address} refused this machine: ${why}`)),
    orphan_ms: ORPHAN_MS,
    file: WORKERS_FILE,
    idFile: ID_FILE,
  })
  const { secret } = machineIdentity(env, ID_FILE)
  const talk = new JoinReporter(upstream.address, note, o.begun)
  let entered = false
  const joined = keepJoined(
    {
      clock: systemClock,
      random: Math.random,
      async dial(signal) {
        try {
          return await dialUpstream(upstream, signal)
        } catch (error) {
          // a cluster that refused us at the first attempt will not accept us at the next
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
            // starts only what is missing: workers of a killed host are taken over
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
  // each worker stays joined until its answers are finished
  await Promise.all(host.workers.map(({ id }) => host.stop(id)))
  left.abort()
  await joined
  // ends also the workers that the cluster has started meanwhile
  await host.close()
  if (failure !== undefined) throw failure
}

/** The failure for a refused token or certificate, with the remedy. */
function locked(error: FsError, { fingerprint }: Upstream): Failure {
  const remedy = error.is('authRequired')
    ? 'llamboctl invite, on the machine of the server, makes a token for joining'
    : fingerprint === undefined
      ? 'give the --fingerprint that llamboctl invite prints on the machine of the server'
      : 'this is a different server, or it has a new certificate; llamboctl invite prints its fingerprint there'
  return new Failure(exitCode.auth, `${error.message}; ${remedy}`, { cause: error })
}

/** Serves the host's files to the cluster, whose word for the user of each attach is trusted. */
function serveHost(
  transport: Transport,
  host: Host,
  secret: string,
  note: (line: string) => void,
  lost: (reason?: Error) => unknown,
): Connection {
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

/** A connection that has lasted this long, in ms, counts as stable. */
const GOOD_MS = 10_000
/** After this many unstable connections in a row, further ones are not reported. */
const FLAPS = 3

/** Reports whether the machine is joined, without repeating itself, because a cluster may be away for a night. */
class JoinReporter {
  #begun = false
  /** The reasons for failed attempts since the last connection; each is reported once. */
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

  /** To be called when the connection has ended. */
  lost(reason: Error | undefined): void {
    this.#holds()
    this.#flaps = systemClock.now() - this.#since < GOOD_MS ? this.#flaps + 1 : 0
    if (this.#flaps > FLAPS) return
    const why = reason ? ` (${explain(reason)})` : ''
    const silent = this.#flaps === FLAPS ? '; further failures are not reported until a connection lasts' : ''
    this.#say(`lost the connection to ${this.address}${why}; trying again${silent}`)
  }

  /** To be called when an attempt to connect has failed. */
  away(error: Error): void {
    const why = explain(error)
    if (this.#away.has(why)) return
    this.#away.add(why)
    this.#say(`${why}; trying again until it answers`)
  }

  #say(line: string): void {
    this.note(line)
    if (!this.#begun) this.begun(line)
    this.#begun = true
  }
}
