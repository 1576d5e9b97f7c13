/** The summary of a server's `status` that a person reads. */
import { type MemberRecord, type ModelRecord, type ServerRecord, status } from '../api/status.js'
import { bytes, duration, table } from './output.js'

/** The most workers in the summary; a person who wants to see all of a thousand reads the file. */
const MOST = 20

const number = (n: number) => Math.round(n).toLocaleString('en-US')
const percent = (share: number) => `${Math.round(share * 100)} %`

/**
 * Summarizes the text of `status` (docs/files.md): a line for the server, then a table of its workers and one of its
 * models.
 * @throws FsError `bad message` for any other text
 */
export function summary(text: string): string {
  const { server, model: models, worker: members } = status.read(text)
  const workers = members.toSorted(byName)
  const more = workers.length - MOST
  return [
    `${headline(server)}\n`,
    ...(workers.length > 0 ? ['\n', table(WORKER, workers.slice(0, MOST).map(worker), true)] : []),
    ...(more > 0 ? [`… and ${number(more)} more; llamboctl top and the file status show all\n`] : []),
    ...(models.length > 0 ? ['\n', table(MODEL, models.map(model), true)] : []),
    ...models.flatMap(({ name, note }) => (note ? [`${name}: ${note}\n`] : [])),
  ].join('')
}

function headline(server: ServerRecord): string {
  const { kind, name, state, workers, loading, error } = server
  const now = loading ? `loading ${loading} (${percent(server.progress)})` : state
  const rates = [server.active, server.tok_s, server.queue]
  const busy = [
    `${number(server.tok_s)} tok/s`,
    ...(server.latency_ms === 0 ? [] : [`${number(server.latency_ms)} ms latency`]),
    `${number(server.queue)} queued`,
  ]
  const parts = [
    ...(workers === undefined ? [] : [`${number(workers)} ${workers === 1 ? 'worker' : 'workers'}`]),
    now,
    `${percent(server.util)} of ${number(server.slots)} slots in use`,
    ...(rates.some(rate => rate > 0) ? busy : []),
    `up ${duration(server.uptime_s)}`,
  ]
  return `${kind} ${name}: ${parts.join(', ')}${error ? `\n${error}` : ''}`
}

/** The columns of a table of workers. */
export const WORKER = ['worker', 'state', 'in use', 'tok/s', 'class', 'model', 'host'] as const
/** The row of a worker, from the attributes of its record in `status`. */
export const worker = ({ name, state, active, slots, tok_s, class: kind, model, host }: MemberRecord) => [
  name,
  state,
  `${active}/${slots}`,
  number(tok_s),
  kind,
  model,
  host,
]
/** The order in which workers are listed. */
export const byName = (a: { readonly name: string }, b: { readonly name: string }): number => (a.name < b.name ? -1 : 1)

const MODEL = ['model', 'type', 'size', 'context', 'loaded'] as const
const model = ({ name, type, size, context, loaded, problem, conflict }: ModelRecord) => [
  name,
  type,
  size > 0 ? bytes(size) : '',
  context > 0 ? `${context}` : '',
  [loaded ? 'yes' : 'no', problem, conflict && 'conflict'].filter(Boolean).join(': '),
]
