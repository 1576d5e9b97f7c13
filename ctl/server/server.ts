/**
 * A server of a user: it starts the orchestrator, the host with its workers, the listeners and the mount, and stops
 * them.
 */

import { join } from 'node:path'
import { fail } from '../../api/errors.js'
import type { Written } from '../../api/written.js'
import { joinAddress } from '../../cli/address.js'
import type { OnDamaged } from '../../cli/aside.js'
import { exitCode, explain, Failure } from '../../cli/exit.js'
import { homeMount, MOUNT } from '../../cli/ns-path.js'
import { privateDir, runtimeDir, stateDir } from '../../cli/paths.js'
import { waitingFor } from '../../cli/phrases.js'
import {
  bornAt,
  isAlive,
  readServerFile,
  removeServerFile,
  type ServerFile,
  writeServerFile,
} from '../../cli/serverfile.js'
import type { Config } from '../../cli/settings.js'
import { Tokens } from '../../cli/tokens.js'
import { usr, withUsr } from '../../cli/user-files.js'
import { version } from '../../cli/version.js'
import { joinedOptions, joinedRoot } from '../../cluster/joining.js'
import type { Orchestrator } from '../../cluster/orchestrator/options.js'
import { createOrchestrator } from '../../cluster/orchestrator/orchestrator.js'
import type { Reclaim } from '../../cluster/root/budget.js'
import { sleep, systemClock, timeLimit } from '../../fs/base/clock.js'
import { interruptible } from '../../fs/base/interruptible.js'
import { type Connection, type ServeOptions, serve } from '../../fs/server/server.js'
import { transportPair } from '../../fs/transport/pair.js'
import type { Transport } from '../../fs/transport.js'
import { OREAD } from '../../fs/wire/protocol.js'
import { bundledModel } from './bundled.js'
import { checkEngines, startWorkers, workersOf } from './classes.js'
import { firstModel } from './engine.js'
import { localHost } from './host.js'
import { machineIdentity } from './identity.js'
import { type Acceptor, type Listener, listenAddresses, openJoinSocket, openListener } from './listeners.js'
import { budgetOf } from './memory.js'
import { clearLeftBehind, type KeptMount, mountServer } from './mounting.js'
import { joinParent, parentOf } from './parent.js'
import { spillDisk } from './spill.js'
import { fileStore } from './store.js'
import { parentsUser, self, userOf } from './users.js'

/** How long answers may take to finish when the server ends, in ms. */
const DRAIN_MS = 25_000
/** How long clients may then take to finish reading the answers, in ms. */
const READ_MS = 2_000
/** How often to check whether they have read them, in ms. */
const LOOK_MS = 20
/** The user for whom the memory of connections counts until a user has attached. */
const NOBODY = { name: 'connections without an attach' }

export interface ServerOptions {
  readonly config: Config
  readonly env: NodeJS.ProcessEnv
  /** Called with lines for a person, such as what could not be opened. */
  readonly note: (line: string) => void
  readonly trace?: ((line: string) => void) | undefined
  /** Aborts the start: everything that was begun is undone, and the start fails. */
  readonly signal: AbortSignal
  /**
   * Whether the model was named for this start. Then what an earlier server was told to load is forgotten.
   */
  readonly newModel?: boolean
  /** Whether it is for one answer only: it listens only on the unix socket and keeps nothing for a later start. */
  readonly passing?: boolean
  /** The directories that `mount: auto` tries, in order. */
  readonly places?: readonly string[]
}

/**
 * A running server. The orchestrator, its files and the listeners are in this process; the workers and the mount have
 * their own.
 */
export interface Server {
  /** The first is the unix socket. */
  readonly addresses: readonly string[]
  readonly mounts: readonly string[]
  /** Resolves when `shutdown` was written to `ctl`. */
  readonly shutdown: Promise<void>
  /**
   * Stops the server: lets answers finish and be read, unmounts, stops listening, ends the remaining tasks with
   * `shutting down` and frees the model.
   * @param hurry aborts when the user no longer wants to wait for answers; without it they are not waited for
   */
  close(hurry?: AbortSignal): Promise<void>
}

/**
 * Starts a server: listens, loads the model, mounts. Resolves when a prompt would be answered.
 * @throws Failure with the reason; then nothing is left behind
 */
export async function startServer(o: ServerOptions): Promise<Server> {
  const { config, env, note, signal, places = [MOUNT, homeMount(env)] } = o
  process.umask(0o077)
  // everything that can be wrong with the configuration is found before anything is touched
  const addresses = listenAddresses(config, env, !o.passing)
  checkEngines(config)
  const parent = parentOf(config, env)
  privateDir(runtimeDir(env))
  /** The damaged files that were found, until there are events to report them. */
  const damaged: { kept: string; error: string }[] = []
  const onDamaged: OnDamaged = (kept, error) => damaged.push({ kept, error })
  await claim(env, onDamaged)

  let stop!: () => void
  const shutdown = new Promise<void>(resolve => {
    stop = resolve
  })
  const undo: (() => Promise<unknown>)[] = []
  let letEnd: ((hurry: AbortSignal) => Promise<void>) | undefined
  const close = async (hurry?: AbortSignal) => {
    if (hurry) await letEnd?.(hurry)
    for (const step of undo.splice(0).reverse()) await step().catch(error => note(explain(error)))
  }
  try {
    const owner = self()
    let mount: KeptMount | undefined
    const mounts = () => (mount?.wanted ? [mount.dir] : [])
    const model = firstModel(config)
    const host = localHost({ config, env, note, onDamaged, upstream: { address: joinAddress(env) }, shutdown: stop })
    undo.push(() => host.close())
    const memory = budgetOf(config.memory)
    undo.push(async () => memory.close())
    const { budget } = memory
    const spill = o.passing ? undefined : spillDisk(env)
    // closed after the orchestrator, whose answers are on it
    if (spill) undo.push(() => spill.close())
    const orchestrator = createOrchestrator({
      budget,
      ...(spill && { spill }),
      prioritised: config['priority.users'] ?? [],
      name: host.name,
      version: version(),
      owner,
      host: host.name,
      ...(!o.passing && { store: fileStore(join(privateDir(stateDir(env)), 'cluster')) }),
      newModel: o.newModel ?? false,
      // at any temperature but 0 the bundled model produces noise; its worker has the same default
      defaults: name => (name === bundledModel ? { temperature: 0 } : {}),
      shutdown: stop,
      refused: why => note(`not joined: ${why}`),
      // a terminal shows what the person at it does, not the events of the cluster
      ...(!process.stderr.isTTY && !o.passing && { log: note }),
    })
    undo.push(() => orchestrator.close())
    for (const file of damaged) orchestrator.events.add('not-restored', file)

    // not in the orchestrator's own root, which a cluster that we joined sees: the user's files are not its business
    const root = withUsr(orchestrator.root, usr(env, owner), owner)
    const sessions = new Set<Connection>()
    budget.onShort((name, fits) => name === NOBODY.name && giveUpOldest(sessions, fits))
    const take = (transport: Transport, options: Omit<ServeOptions, 'attach'>) => {
      const session = serve(transport, {
        ...options,
        attach: ({ user, ...claim }) => ({ root, user: user ?? userOf(claim) }),
        onerror: error => note(`fault: ${error instanceof Error ? (error.stack ?? error.message) : error}`),
        onfail: orchestrator.failed,
        onwrite: orchestrator.succeeded,
        hold: user => budget.hold(user ?? NOBODY),
        ...(o.trace && { trace: o.trace }),
      })
      sessions.add(session)
      void session.closed.then(() => sessions.delete(session))
    }
    undo.push(async () => {
      for (const session of sessions) session.close()
    })
    letEnd = hurry => finish(orchestrator, sessions, note, hurry)
    const tokens = new Tokens(stateDir(env), error => note(explain(error)))
    const door: Acceptor = {
      note,
      anonymousUser: owner,
      verify: token => tokens.verify(token),
      verifyJoin: token => tokens.verifyJoin(token),
      acceptLocal: transport => take(transport, {}),
      acceptJoin: transport => void orchestrator.join(transport),
      acceptWithToken: (transport, user) =>
        take(transport, user ? { user } : { authenticate: token => tokens.authenticate(token) }),
    }
    const joining = await openJoinSocket(env, door)
    undo.push(() => joining.close())
    // the host of this machine runs in this process and joins like any other
    const [near, far] = transportPair()
    const { secret } = machineIdentity(env)
    serve(far, {
      attachOptions: joinedOptions,
      attach: who => ({ root: joinedRoot(host.root, secret, owner, who.options), user: parentsUser(who) }),
    })
    void orchestrator.join(near)
    startWorkers(config, host, orchestrator.holds(model))
    const workers = workersOf(config).reduce((sum, [, n]) => sum + n, 0)

    const listeners: Listener[] = []
    for (const item of addresses) {
      try {
        const listener = await openListener(item, config, door)
        listeners.push(listener)
        undo.push(() => listener.close())
      } catch (error) {
        if (item.asked) throw error
        note(`${explain(error)} (--listen); continuing without HTTP`)
      }
    }
    const started = new Date().toISOString()
    const state = (): Written<ServerFile> => ({
      pid: process.pid,
      born: bornAt(process.pid),
      addresses: listeners.map(l => l.address),
      fingerprint: listeners.find(l => l.fingerprint)?.fingerprint,
      mounts: mounts(),
      mounters: mounts().flatMap(() => (mount?.pid === undefined ? [] : { pid: mount.pid, born: bornAt(mount.pid) })),
      started,
    })
    const record = () => {
      try {
        writeServerFile(state(), env)
      } catch (error) {
        note(`server.json: ${explain(error)}`)
      }
    }
    writeServerFile(state(), env)
    undo.push(async () => removeServerFile(env))
    if (config.mdns !== 'off' && listeners.some(l => l.fingerprint)) {
      const { advertise } = await import('./discovery.js')
      const told = advertise({ id: machineIdentity(env).id, version: version(), listeners, note })
      undo.push(() => told.close())
    }

    const mounting = mountServer(config.mount ?? 'auto', places, {
      address: listeners[0]!.address,
      note,
      told: (kind, attrs) => orchestrator.events.add(kind, attrs),
      changed: () => mount && record(),
    })
    // also a mount that is made after the start was aborted, which would otherwise outlive this process
    undo.push(async () => {
      const made = await mounting.catch(() => undefined)
      mount = undefined
      await made?.close()
    })
    // loading a model and mounting each take about a second and are independent
    const [loaded, mounted] = await Promise.allSettled([
      workers === 0 ? undefined : orchestrator.ready({ model: model !== undefined, workers }, signal),
      interruptible(mounting, signal),
    ])
    if (mounted.status === 'fulfilled' && mounted.value !== undefined) {
      mount = mounted.value
      record()
    }
    if (parent) {
      const leaving = new AbortController()
      const left = joinParent(parent, orchestrator, note, leaving.signal)
      undo.push(() => {
        leaving.abort()
        return left
      })
    }
    for (const part of [loaded, mounted]) if (part.status === 'rejected') throw part.reason
    return { addresses: listeners.map(({ address }) => address), mounts: mounts(), shutdown, close }
  } catch (error) {
    await close()
    throw error
  }
}

/** Lets answers finish and be read. The mount stays for its readers until then. */
async function finish(
  orchestrator: Orchestrator,
  sessions: Iterable<Connection>,
  note: (line: string) => void,
  hurry: AbortSignal,
): Promise<void> {
  const { unfinished } = orchestrator
  if (unfinished > 0 && !hurry.aborted)
    note(`${waitingFor(unfinished, DRAIN_MS / 1000)}; Ctrl-C or llamboctl down --now ends the wait`)
  await orchestrator.drain(AbortSignal.any([hurry, timeLimit(DRAIN_MS)]))
  if (unfinished === 0) return
  const open = ({ fids }: Connection) => [...fids.values()].some(({ opened, mode }) => opened && (mode & 3) !== OREAD)
  const end = performance.now() + READ_MS
  while ([...sessions].some(open) && performance.now() < end) await sleep(systemClock, LOOK_MS)
}

/**
 * Ends the oldest connections on which no user has attached, if that makes room for one more. A client that means to
 * attach has done so by then.
 * @returns whether it made room
 */
function giveUpOldest(sessions: Iterable<Connection>, fits: Parameters<Reclaim>[1]): boolean {
  const oldest: Connection[] = []
  let bytes = 0
  for (const session of sessions) {
    if (session.account.owned) continue
    oldest.push(session)
    bytes += session.account.bytes
    if (!fits(bytes, bytes)) continue
    for (const one of oldest) one.giveUp(fail('overMemory', 'too many connections without an attach'))
    return true
  }
  return false
}

/** Refuses where a server of this user runs. Removes what a killed server left. @throws Failure */
async function claim(env: NodeJS.ProcessEnv, onDamaged: OnDamaged): Promise<void> {
  const file = readServerFile(env, onDamaged)
  if (!file) return
  if (isAlive(file)) {
    throw new Failure(
      exitCode.failed,
      `your server is already running (pid ${file.pid}) at ${file.addresses[0]}; to stop it: llamboctl down`,
    )
  }
  await clearLeftBehind(file.mounts)
  removeServerFile(env)
}
