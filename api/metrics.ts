/** The metrics of a root, in Prometheus' text format 0.0.4 (docs/files.md#metrics). */
import * as field from './field.js'

/** Names are those of vLLM and OpenTelemetry where these have one. A histogram is followed by what its buckets count. */
const metrics = {
  llambo_requests_total: ['counter', 'Requests that have ended, by how'],
  llambo_prompt_tokens_total: ['counter', 'Prompt tokens of ended requests'],
  llambo_reused_tokens_total: ['counter', 'Prompt tokens found in the KV cache'],
  llambo_completion_tokens_total: ['counter', 'Tokens made'],
  llambo_time_to_first_token_seconds: ['histogram', 'From submission to the first token'],
  llambo_requests_running: ['gauge', 'Requests being answered'],
  llambo_requests_waiting: ['gauge', 'Requests waiting for a slot'],
  llambo_slots: ['gauge', 'Requests that can be answered at once'],
  llambo_sessions: ['gauge', 'Sessions alive'],
  llambo_memory_used_bytes: ['gauge', 'Memory kept for users'],
  llambo_memory_limit_bytes: ['gauge', 'Memory that may be kept for users'],
  llambo_memory_refusals_total: ['gauge', 'Times the memory budget refused something'],
  llambo_spill_used_bytes: ['gauge', 'Answers and transcripts on the disk'],
  llambo_spill_limit_bytes: ['gauge', 'Answers and transcripts that may be on the disk'],
  llambo_spill_failing: ['gauge', 'Whether the last answer or transcript could not be put on the disk'],
  process_resident_memory_bytes: ['gauge', 'Resident memory'],
} as const

export type Metric = keyof typeof metrics
/** A value of a metric, with the end of its name: its labels, or the part of a histogram. */
export type Sample = readonly [end: string, value: number]

/** Formats one metric. */
export function metricText(name: Metric, samples: readonly Sample[]): string {
  const [type, help] = metrics[name]
  const lines = samples.map(([end, value]) => `${name}${end} ${value}\n`)
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.join('')}`
}

const value = field.number(0, Number.MAX_VALUE)

/** The value of a metric without labels. @returns undefined if the text does not have it, or another kind of value */
export function metricOf(text: string, name: Metric): number | undefined {
  const found = new RegExp(`^${name} (\\S{1,32})$`, 'm').exec(text)?.[1]
  try {
    return value(found, name)
  } catch {
    return undefined
  }
}
