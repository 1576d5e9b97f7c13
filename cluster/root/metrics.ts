import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import type { Task } from './task.js'

/** What `metrics` shows, in Prometheus' text format; names mirror vLLM's and OpenTelemetry's where those have one. */
export class Metrics {
  readonly #registry = new Registry()
  readonly #requests = this.#counter('llambo_requests_total', 'Requests that have ended, by how', ['state'])
  readonly #prompt = this.#counter('llambo_prompt_tokens_total', 'Prompt tokens of ended requests')
  readonly #reused = this.#counter('llambo_reused_tokens_total', 'Prompt tokens found in the KV cache')
  readonly #completion = this.#counter('llambo_completion_tokens_total', 'Tokens made')
  readonly #ttft = new Histogram({
    name: 'llambo_time_to_first_token_seconds',
    help: 'From submission to the first token',
    buckets: [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
    registers: [this.#registry],
  })

  /** @param gauges what is asked for at each reading */
  constructor(gauges: Record<string, { help: string; value: () => number }>) {
    for (const [name, { help, value }] of Object.entries(gauges))
      new Gauge({
        name,
        help,
        registers: [this.#registry],
        collect() {
          this.set(value())
        },
      })
  }

  ended(task: Task): void {
    this.#requests.inc({ state: task.state })
    this.#prompt.inc(task.prompt_tokens ?? 0)
    this.#reused.inc(task.reused_tokens ?? 0)
    this.#completion.inc(task.completion_tokens)
    if (task.ttft_ms !== undefined) this.#ttft.observe(task.ttft_ms / 1000)
  }

  text(): Promise<string> {
    return this.#registry.metrics()
  }

  #counter(name: string, help: string, labelNames: string[] = []): Counter {
    return new Counter({ name, help, labelNames, registers: [this.#registry] })
  }
}
