/** The faults that a simulation inflicts on a cluster. */
import type { ErrorCode } from '../../api/errors.js'
import { andThen } from '../../fs/base/maybe-promise.js'
import type { File, Opened } from '../../fs/file.js'
import type { Cluster } from './cluster.js'
import type { End } from './net.js'
import type { Random } from './random.js'
import type { SimWorker } from './worker.js'

export interface Fault {
  /** The errors that an exchange may end in because of it. If there are none, no client may notice the fault. */
  readonly may: readonly ErrorCode[]
  /** How often it is drawn, in relation to the others. */
  readonly weight: number
  /** How many workers an exchange may lose by it. An exchange survives the loss of one. */
  readonly losses?: number
  /** Whether it waits until some worker is making an answer, if that happens soon. */
  readonly busy?: boolean
  /** Inflicts the fault. @returns what was done, for the story; undefined if there was nothing to inflict it on */
  readonly strike: (cluster: Cluster, random: Random) => string | undefined
}

/** The errors of an answer whose worker is lost, or that finds no worker. */
export const LOST: readonly ErrorCode[] = ['workerLost', 'waited']

const DAY_MS = 86_400_000

/** A worker that is alive, mostly one that is making an answer. */
function victim({ workers }: Cluster, random: Random): SimWorker | undefined {
  const busy = workers.filter(({ generating }) => generating > 0)
  const some = busy.length > 0 && random.chance(0.8) ? busy : workers
  return some.length > 0 ? random.of(some) : undefined
}

/**
 * Undoes a fault after a random time, at the latest when all faults end.
 * @returns for how long it lasts, for the story
 */
function after(cluster: Cluster, random: Random, most_ms: number, undo: () => void): string {
  // short faults, which no client should notice, are as frequent as long ones
  const ms = Math.ceil(most_ms * random.next() ** 3)
  cluster.undoLater(ms, undo)
  return `for ${ms} ms`
}

/** One of these ends, at random. */
function someEnd(ends: readonly End[], random: Random): End | undefined {
  return ends.length > 0 ? random.of(ends) : undefined
}

export const faults = {
  /** A worker is killed by SIGKILL, as when the machine runs out of memory. */
  kill: {
    may: LOST,
    weight: 6,
    losses: 1,
    busy: true,
    strike(cluster, random) {
      const worker = victim(cluster, random)
      worker?.kill('SIGKILL')
      return worker && `${worker.process.name} is killed`
    },
  },
  /** A worker crashes: what it was running may be the cause. */
  crash: {
    may: [...LOST, 'poison'],
    weight: 3,
    losses: 1,
    busy: true,
    strike(cluster, random) {
      const worker = victim(cluster, random)
      const signal = random.of(['SIGSEGV', 'SIGABRT', 'SIGBUS'])
      worker?.kill(signal)
      return worker && `${worker.process.name} crashes by ${signal}`
    },
  },
  /** A worker's engine gives no more tokens, while the rest of the worker answers. */
  hang: {
    may: LOST,
    weight: 3,
    losses: 1,
    busy: true,
    strike(cluster, random) {
      const worker = victim(cluster, random)
      if (!worker || worker.hung) return undefined
      worker.hung = random.chance(0.5) ? 'hung' : 'deaf'
      if (random.chance(0.5)) return `${worker.process.name} is ${worker.hung} for good`
      return `${worker.process.name} is ${worker.hung} ${after(cluster, random, 60_000, () => worker.wake())}`
    },
  },
  /** A worker is suspended, by SIGSTOP or by a laptop's lid. */
  pause: {
    may: LOST,
    weight: 3,
    losses: 1,
    busy: true,
    strike(cluster, random) {
      const worker = victim(cluster, random)
      if (!worker || worker.process.paused) return undefined
      worker.process.pause()
      return `${worker.process.name} is paused ${after(cluster, random, 40_000, () => worker.process.resume())}`
    },
  },
  /** The orchestrator itself is suspended. A client whose flush has no reply for 10 s gives up its connection. */
  sleep: {
    may: [...LOST, 'hungUp'],
    weight: 1,
    losses: 2,
    strike(cluster, random) {
      const { orchestrator } = cluster
      if (orchestrator.paused || !orchestrator.alive) return undefined
      orchestrator.pause()
      return `the orchestrator is paused ${after(cluster, random, 40_000, () => orchestrator.resume())}`
    },
  },
  /**
   * The orchestrator is killed and started again. Exchanges that ran go on; those that waited, and the connections of
   * clients, are lost.
   */
  restart: {
    may: [...LOST, 'hungUp', 'interrupted', 'notFound'],
    weight: 1.5,
    losses: 2,
    busy: true,
    strike(cluster, random) {
      if (!cluster.orchestrator.alive) return undefined
      const ms = random.whole(50, 5_000)
      cluster.restart(ms)
      return `the orchestrator is killed, and started again after ${ms} ms`
    },
  },
  /**
   * A machine cannot be reached, or cannot reach the orchestrator, or both. The orchestrator's own machine always
   * reaches itself.
   */
  partition: {
    may: LOST,
    weight: 3,
    losses: 2,
    busy: true,
    strike(cluster, random) {
      const others = cluster.machines.filter(name => name !== cluster.home)
      if (others.length === 0) return undefined
      const name = random.of(others)
      const ways = random.of([
        [[name, cluster.home]],
        [[cluster.home, name]],
        [
          [name, cluster.home],
          [cluster.home, name],
        ],
      ]) as [string, string][]
      for (const [from, to] of ways) cluster.net.partition(from, to)
      const heal = () => {
        for (const [from, to] of ways) cluster.net.heal(from, to)
      }
      const text = ways.map(([from, to]) => `${from}>${to}`).join(' and ')
      return `nothing gets from ${text} ${after(cluster, random, 40_000, heal)}`
    },
  },
  /** The way between two machines takes long. */
  delay: {
    may: [],
    weight: 2,
    strike(cluster, random) {
      const [from, to] = [random.of(cluster.machines), random.of(cluster.machines)]
      const way = { delay_ms: random.whole(1, 300), jitter_ms: random.whole(1, 300) }
      const undo = after(cluster, random, 30_000, () => cluster.net.ways.delete(`${from}>${to}`))
      cluster.net.ways.set(`${from}>${to}`, way)
      return `${from}>${to} takes ${way.delay_ms} to ${way.delay_ms + way.jitter_ms} ms ${undo}`
    },
  },
  /** A worker's connection is reset, at once or in the middle of a message. */
  cut: {
    may: LOST,
    weight: 3,
    losses: 1,
    busy: true,
    strike(cluster, random) {
      const end = someEnd(cluster.joined(), random)
      if (!end) return undefined
      const bytes = random.of([0, random.whole(1, 200), random.whole(1, 3000)])
      if (bytes === 0) end.connection.cut()
      else end.connection.cutAfter(random.chance(0.5) ? end : end.peer, bytes)
      return `the connection of ${end.process.name} is cut ${bytes ? `after ${bytes} bytes` : ''}`
    },
  },
  halfClose: {
    may: LOST,
    weight: 2,
    losses: 1,
    busy: true,
    strike(cluster, random) {
      // a connection within one machine cannot end on one side only
      const end = someEnd(
        cluster.joined().filter(({ process, peer }) => process.machine !== peer.process.machine),
        random,
      )
      if (!end) return undefined
      const told = random.chance(0.5) ? end : end.peer
      end.connection.halfClose(told)
      return `the connection of ${end.process.name} ends for ${told.process.name} only`
    },
  },
  /** Another worker with the id of one that is alive. */
  duplicate: {
    may: LOST,
    weight: 1,
    losses: 2,
    strike(cluster, random) {
      const worker = victim(cluster, random)
      if (!worker) return undefined
      const twin = cluster.twin(worker)
      const gone = after(cluster, random, 60_000, () => twin.kill('SIGKILL'))
      return `${twin.process.name} has the id of ${worker.process.name} ${gone}`
    },
  },
  /** The time of day of a process is set. */
  clock: {
    may: [],
    weight: 2,
    strike(cluster, random) {
      const process = random.of(cluster.processes())
      const ms = random.of([DAY_MS, -DAY_MS])
      process.jump(ms)
      return `the clock of ${process.name} jumps by ${ms / 3_600_000} h`
    },
  },
  /** A worker's `generate` gives what it must not. */
  lie: {
    may: LOST,
    weight: 1.5,
    losses: 2,
    strike(cluster, random) {
      const worker = victim(cluster, random)
      if (!worker || cluster.lies.has(worker.id)) return undefined
      const lie = random.of(Object.keys(lies))
      cluster.lies.set(worker.id, lies[lie]!(random))
      const truth = after(cluster, random, 40_000, () => cluster.lies.delete(worker.id))
      return `${worker.process.name} lies: ${lie} ${truth}`
    },
  },
  drain: {
    may: [],
    weight: 2,
    busy: true,
    strike(cluster, random) {
      const names = cluster.names()
      // one worker must be left for the exchanges that wait
      if (names.length < 2) return undefined
      const name = random.of(names)
      cluster.command(`drain ${name}`)
      const undo = after(cluster, random, 20_000, () => cluster.command(`resume ${name}`))
      return `${name} is drained ${undo}`
    },
  },
  strategy: {
    may: [],
    weight: 2,
    strike(cluster, random) {
      const strategy = random.of(['specialise', 'least-loaded', 'round-robin', 'random'])
      cluster.command(`strategy ${strategy}`)
      return `strategy ${strategy}`
    },
  },
  /** SIGTERM: the worker ends in order, and its host does not start it again. */
  stop: {
    may: [],
    weight: 1,
    busy: true,
    strike(cluster, random) {
      // one worker must be left for the exchanges that wait
      if (cluster.workers.length < 3) return undefined
      const worker = victim(cluster, random)!
      worker.kill('SIGTERM')
      return `${worker.process.name} is asked to end`
    },
  },
  /** More prompts at once than there are slots, and a short queue. */
  crowd: {
    may: ['queueFull', 'waited'],
    weight: 1,
    strike(cluster, random) {
      const max = random.whole(1, 10)
      cluster.command(`queue max ${max} ttl ${random.whole(1, 5)}`)
      cluster.crowd(random.whole(5, 40))
      const undo = after(cluster, random, 20_000, () => cluster.command('queue max 512 ttl 30'))
      return `a crowd, where ${max} may wait ${undo}`
    },
  },
  /** A worker is shut down through the cluster's ctl: it finishes its answers, or they are moved. */
  retire: {
    may: [],
    weight: 1,
    busy: true,
    strike(cluster) {
      const names = cluster.names()
      if (names.length < 3 || cluster.workers.length < 3) return undefined
      const name = names.at(-1)!
      cluster.command(`shutdown ${name}`)
      return `${name} is shut down`
    },
  },
  /** A client's connection is reset. */
  hangUp: {
    may: ['hungUp', 'interrupted'],
    weight: 1,
    strike(cluster, random) {
      const end = someEnd(cluster.dialled(), random)
      if (!end) return undefined
      const bytes = random.of([0, random.whole(1, 2000)])
      if (bytes === 0) end.connection.cut()
      else end.connection.cutAfter(random.chance(0.5) ? end : end.peer, bytes)
      return `the connection of ${end.process.name} is cut ${bytes ? `after ${bytes} bytes` : ''}`
    },
  },
} satisfies Record<string, Fault>

export type FaultName = keyof typeof faults

/** Changes what a read of `generate` gives. @returns undefined to leave it as it is */
type Lie = (read: Uint8Array) => Uint8Array | undefined

const encoder = new TextEncoder()
const decoder = new TextDecoder()

/** Ways in which a worker gives an answer that can be recognised as invalid. */
const lies: Record<string, (random: Random) => Lie> = {
  'no JSON': () => () => encoder.encode('this is no JSON\n'),
  'half a line, and the end': () => read => (read.length > 20 ? read.subarray(0, 17) : new Uint8Array(0)),
  'ids that are no numbers': () => edit(/"ids":\[\d+/g, '"ids":["a"'),
  'an unknown event': () => edit(/"event":"token"/g, '"event":"tokken"'),
  'text that is none': () => edit(/"text":"[^"]*"/g, '"text":7'),
  'an end of no kind': () => edit(/"reason":"[a-z]*"/g, '"reason":"whim"'),
  'more behind the end': () => edit(/("event":"end".*\n)/, '$1{"event":"token","text":" 9:x","ids":[9]}\n'),
}

const edit =
  (what: RegExp, by: string): Lie =>
  read =>
    encoder.encode(decoder.decode(read).replace(what, by))

/** A worker's files, with a `generate` that lies. */
export function lying(files: File, lie: () => Lie | undefined): File {
  const wrap = (file: File): File => ({
    ...file,
    open: (mode, ctx) =>
      andThen(file.open(mode, ctx), opened => ({
        ...bound(opened),
        read: (offset, count, ctx) =>
          andThen(opened.read!(offset, count, ctx), read => lie()?.(read)?.subarray(0, count) ?? read),
      })),
  })
  let generate: File | undefined
  return {
    ...files,
    // synchronous where possible, so that requests sent right behind a walk find its fid
    walk: (name, ctx) =>
      andThen(files.walk!(name, ctx), file => (file && name === 'generate' ? (generate ??= wrap(file)) : file)),
  }
}

/** The operations of an open file, bound to it. */
function bound(opened: Opened): Opened {
  return {
    stream: true,
    read: (offset, count, ctx) => opened.read!(offset, count, ctx),
    write: (offset, data, ctx) => opened.write!(offset, data, ctx),
    close: () => opened.close?.(),
  }
}
