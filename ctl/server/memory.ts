/** How much memory this process may keep for its users, and how it stays below that. */
import { getHeapStatistics, setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { memoryReader } from '../../cluster/memory.js'
import { Budget } from '../../cluster/root/budget.js'

const MiB = 1024 * 1024

/** What the process takes with nobody there: Node, our code and its libraries. */
const CODE = 75 * MiB
/** Of the memory that the machine or its container has: the models, which are in other processes, need most of it. */
const DEFAULT_SHARE = 1 / 4
const LEAST = 256 * MiB
/** Of what is left beside the code: the rest is for what is on its way, and for what V8 has not collected yet. */
const KEPT_SHARE = 1 / 2
/** Of V8's heap, beyond which the process ends. */
const HEAP_SHARE = 1 / 2
/** A grant below this is not looked at: what many of them take is counted. */
const LARGE = 64 * 1024
/** Times its size that a large text needs while it is taken in: as bytes, as a string and as what was parsed of it. */
const WORKING_COPIES = 2
/** Between two collections that we ask for ourselves, in ms: one takes some tens of ms. */
const COLLECT_MS = 500
/** What comes in small pieces is looked at so often, in ms, and is collected where the process has grown by so much since the last time. */
const LOOK_MS = 250
const GROWN = 8 * MiB

/** What a server whose configuration says nothing may use. */
export function defaultMemory(total = memoryReader()().total): number {
  return Math.max(LEAST, Math.floor(total * DEFAULT_SHARE))
}

/**
 * The budget of a process that may use so many bytes. Its resident size is looked at before each large grant: where that would pass
 * the limit, what V8 has not collected yet is collected, and if that is not enough the grant is refused. It is looked at from time to time
 * as well, for what nobody asks leave for: V8 lets garbage grow as far as its own heap may.
 * @returns the budget, and what ends the looking
 */
export function budgetOf(memory = defaultMemory()): { budget: Budget; close(): void } {
  const heap = getHeapStatistics().heap_size_limit
  const limit = Math.floor(Math.min((memory - CODE) * KEPT_SHARE, heap * HEAP_SHARE))
  const collector = collectorOf()
  let collected = Number.NEGATIVE_INFINITY
  /** Resident bytes after the last collection. */
  let left = 0
  const resident = () => process.memoryUsage.rss()
  /** @param more bytes for which there should be room afterwards */
  const collect = (more: number) => {
    collector.collect()
    const { rss, heapTotal, heapUsed } = process.memoryUsage()
    if (rss + more > memory && heapTotal - heapUsed > GROWN) collector.release()
    left = resident()
  }
  const room = (bytes: number) => {
    if (bytes < LARGE) return true
    const fits = () => resident() + WORKING_COPIES * bytes <= memory
    if (fits()) return true
    if (performance.now() - collected < COLLECT_MS) return false
    collect(WORKING_COPIES * bytes)
    collected = performance.now()
    return fits()
  }
  const looking = setInterval(() => {
    const now = resident()
    if (now > memory && now > left + GROWN) collect(0)
  }, LOOK_MS)
  looking.unref()
  return { budget: new Budget({ limit, room }), close: () => clearInterval(looking) }
}

/**
 * The budget of a worker, whose process is as large as its model: what it keeps is counted, and its size is not looked at. It is twice the
 * server's, for it keeps whole what the server has on the disk.
 */
export function workerBudget(memory = defaultMemory()): Budget {
  return new Budget({ limit: Math.floor(Math.min(memory - CODE, getHeapStatistics().heap_size_limit * HEAP_SHARE)) })
}

/**
 * V8's own collection, which it shows only to those who ask for it by a flag. `collect` frees what nothing refers to. `release` gives the
 * pages that are empty then back to the system, too, and takes twice as long: Node 24 (V8 13) otherwise kept 150 MB of heap for 15 MB.
 */
function collectorOf(): { collect(): void; release(): void } {
  setFlagsFromString('--expose-gc')
  const gc = runInNewContext('gc') as (o?: { type: 'major'; execution: 'sync'; flavor: 'last-resort' }) => void
  // Node 20 (V8 11) takes no options, and would collect young objects only
  const knowsOptions = Number.parseInt(process.versions.v8, 10) >= 12
  return {
    collect: () => gc(),
    release: () => (knowsOptions ? gc({ type: 'major', execution: 'sync', flavor: 'last-resort' }) : gc()),
  }
}
