/** The settings of a cluster that commands of its `ctl` change. */

export const logLevels = ['error', 'info', 'debug'] as const

/** The settings that a cluster has besides those of every root. */
export interface ClusterSettings {
  /** Which events are logged: `error`: those with an error; `info`: all but those of tasks; `debug`: all. */
  log: (typeof logLevels)[number]
  queue: { max: number; ttl_s: number }
  retry: { tries: number; resumes: number }
  heartbeat_s: number
}
