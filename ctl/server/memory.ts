/** Decides how much memory this process may keep for its users, and keeps it below that. */
import { getHeapStatistics, setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { memoryReader } from '../../cluster/memory.js'
import { Budget } from '../../cluster/root/budget.js'

const MiB = 1024 * 1024

/** What the process takes without any users, in bytes: Node, our code and its libraries. */
const CODE = 75 * MiB
/**
 * The default share of the memory that the machine or its container has. The models, in other processes, need most of
 * it.
 */
const DEFAULT_SHARE = 1 / 4
/** The least default, in bytes. */
const LEAST = 256 * MiB
/**
 * The share of the memory besides CODE that may be kept. The rest is for data in transit and for garbage that V8 has
 * not collected yet.
 */
const KEPT_SHARE = 1 / 2
/** The share of V8's heap limit that may be kept; beyond the limit the process ends. */
const HEAP_SHARE = 1 / 2
/** For a grant below this, in bytes, the size of the process is not checked; the budget counts it all the same. */
const LARGE = 64 * 1024
/**
 * How many times its size a large text needs while it is received: as bytes, as a string and as what is parsed from it.
 */
const WORKING_COPIES = 2
/** The least time between two garbage collections that we ask for, in ms. A collection takes some tens of ms. */
const COLLECT_MS = 500
/** How often the size of the process is checked, in ms, because many small grants are not. */
const POLL_MS = 250
/** How much the process must have grown since the last collection, in bytes, for the check to ask for another. */
const GROWN = 8 * MiB

/** The bytes that a server may use where its configuration does not say. */
export function defaultMemory(total = memoryReader()().total): number {
  return Math.max(LEAST, Math.floor(total * DEFAULT_SHARE))
}

/**
 * The budget of a process that may use `memory` bytes. Before each large grant the resident size is checked: where it
 * would pass the limit, garbage is collected, and if that is not enough the grant is refused. The size is also checked
 * from time to time, because small grants and other allocations are not, and V8 lets garbage grow up to its own limit.
 * @returns the budget, and `close`, which ends the periodic check
 */
export function budgetOf(memory = defaultMemory()): { budget: Budget; close(): void } {
  const heap = getHeapStatistics().heap_size_limit
  const limit = Math.floor(Math.min((memory - CODE) * KEPT_SHARE, heap * HEAP_SHARE))
  const collector = collectorOf()
  let collected = Number.NEGATIVE_INFINITY
  /** The resident size after the last collection, in bytes. */
  let left = 0
  const resident = () => process.memoryUsage.rss()
  /** Collects garbage. @param more bytes for which there should be room afterwards */
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
  const polling = setInterval(() => {
    const now = resident()
    if (now > memory && now > left + GROWN) collect(0)
  }, POLL_MS)
  polling.unref()
  return { budget: new Budget({ limit, room }), close: () => clearInterval(polling) }
}

/**
 * The budget of a worker. Its process is as large as its model, so its size is not checked and only what it keeps is
 * counted. The budget is twice a server's, because a worker keeps in memory what a server has on the disk.
 */
export function workerBudget(memory = defaultMemory()): Budget {
  return new Budget({ limit: Math.floor(Math.min(memory - CODE, getHeapStatistics().heap_size_limit * HEAP_SHARE)) })
}

/**
 * V8's own garbage collection, which is available only with a flag. `collect` frees what nothing refers to. `release`
 * also gives empty pages back to the system, and takes twice as long: without it Node 24 (V8 13) kept 150 MB of heap
 * for 15 MB.
 */
function collectorOf(): { collect(): void; release(): void } {
  setFlagsFromString('--expose-gc')
  const gc = runInNewContext('gc') as (o?: { type: 'major'; execution: 'sync'; flavor: 'last-resort' }) => void
  // V8 11 (Node 20) does not know the options and would collect only young objects
  const knowsOptions = Number.parseInt(process.versions.v8, 10) >= 12
  return {
    collect: () => gc(),
    release: () => (knowsOptions ? gc({ type: 'major', execution: 'sync', flavor: 'last-resort' }) : gc()),
  }
}
