/** The counters and gauges of the `metrics` file. */
import { type Metric, metricText } from '../../api/metrics.js'
import type { Task } from './task.js'

/** Upper bounds of the histogram's buckets, in seconds. */
const BUCKETS = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60]

/** The metrics that are computed at each read. */
export type Gauges = { readonly [M in Metric]?: () => number }

/**
 * Collects what `metrics` shows, in Prometheus' text format 0.0.4
 * (https://prometheus.io/docs/instrumenting/exposition_formats/). It uses no library: the usual one would be 88 of the
 * modules that each process loads, and 70 ms of its start, for these few lines.
 */
export class Metrics {
  readonly #gauges: Gauges
  readonly #ended = new Map<Task['state'], number>()
  #prompt = 0
  #reused = 0
  #completion = 0
  /**
   * First tokens: the count of each bucket, the last of which has no upper bound, and the sum of their times in
   * seconds.
   */
  readonly #ttft = [...BUCKETS, Number.POSITIVE_INFINITY].map(bound => ({ bound, count: 0 }))
  #ttftSum = 0

  /** @param gauges are evaluated at each read of the file */
  constructor(gauges: Gauges) {
    this.#gauges = gauges
  }

  ended({ state, prompt_tokens, reused_tokens, completion_tokens, ttft_ms }: Task): void {
    this.#ended.set(state, (this.#ended.get(state) ?? 0) + 1)
    this.#prompt += prompt_tokens ?? 0
    this.#reused += reused_tokens ?? 0
    this.#completion += completion_tokens
    if (ttft_ms === undefined) return
    this.#ttftSum += ttft_ms / 1000
    this.#ttft.find(({ bound }) => ttft_ms / 1000 <= bound)!.count++
  }

  text(): string {
    const states = [...this.#ended].map(([state, count]) => [`{state="${state}"}`, count] as const)
    let below = 0
    const buckets = this.#ttft.map(({ bound, count }) => {
      below += count
      return [`_bucket{le="${bound === Number.POSITIVE_INFINITY ? '+Inf' : bound}"}`, below] as const
    })
    const ttft = [...buckets, ['_sum', this.#ttftSum], ['_count', below]] as const
    return [
      metricText('llambo_requests_total', states),
      metricText('llambo_prompt_tokens_total', [['', this.#prompt]]),
      metricText('llambo_reused_tokens_total', [['', this.#reused]]),
      metricText('llambo_completion_tokens_total', [['', this.#completion]]),
      metricText('llambo_time_to_first_token_seconds', ttft),
      ...Object.entries(this.#gauges).map(([name, value]) => metricText(name as Metric, [['', value()]])),
    ].join('')
  }
}
