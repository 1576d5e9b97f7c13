/** The settings of a cluster that commands of its `ctl` change. */

import { MAX_QUEUE } from '../root/limits.js'

export const logLevels = ['error', 'info', 'debug'] as const

/** The settings that a cluster has besides those of every root. */
export interface ClusterSettings {
  /** Which events are logged: `error`: those with an error; `info`: all but those of tasks; `debug`: all. */
  log: (typeof logLevels)[number]
  /** How many prompts may wait for a worker, and for how long, in s. */
  queue: { max: number; ttl_s: number }
  /** How many attempts a task has before its first token, and how many moves in the middle of its answer. */
  retry: { tries: number; resumes: number }
  /** The time between two heartbeats, in s. */
  heartbeat_s: number
}

/** The settings of a cluster whose `ctl` nobody has written to. */
export const defaultSettings = (): ClusterSettings => ({
  queue: { max: MAX_QUEUE, ttl_s: 30 },
  retry: { tries: 2, resumes: 1 },
  heartbeat_s: 3,
  log: 'info',
})

/** Whether an event is logged at that level. @param line as it stands in `events` */
export const shownEvent = (level: ClusterSettings['log'], line: string, kind: string): boolean =>
  level === 'debug' || (level === 'info' ? !/^(task|attempt)-/.test(kind) : / error=/.test(line))
