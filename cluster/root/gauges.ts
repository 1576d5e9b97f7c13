/** The gauges in a root's `metrics`. */
import type { Budget } from './budget.js'
import type { Executor } from './executor.js'
import type { Gauges } from './metrics.js'
import type { Sessions } from './sessions.js'
import type { Spills } from './spills.js'
import type { Tasks } from './tasks.js'

/** What the gauges show. They are read only when somebody reads `metrics`. */
interface Gauged {
  readonly tasks: Tasks
  readonly sessions: Sessions
  readonly budget: Budget
}

export function gauges(root: Gauged, executor: Executor, spills: Spills | undefined): Gauges {
  const { budget } = root
  return {
    llambo_requests_running: () => executor.active,
    llambo_requests_waiting: () => root.tasks.queued,
    llambo_slots: () => executor.slots,
    llambo_sessions: () => root.sessions.size,
    llambo_memory_used_bytes: () => budget.used,
    ...(Number.isFinite(budget.limit) && {
      llambo_memory_limit_bytes: () => budget.limit,
      llambo_memory_refusals_total: () => budget.refused,
    }),
    ...(spills && {
      llambo_spill_used_bytes: () => spills.used,
      llambo_spill_limit_bytes: () => spills.disk.limit,
      llambo_spill_failing: () => Number(spills.failing),
    }),
    process_resident_memory_bytes: () => process.memoryUsage.rss(),
  }
}
