/** The summary of a server's `status` that a person reads. */
import { parseRecords } from '../fs/base/quote.js'
import { bytes, duration, table } from './output.js'

/** The most workers in the summary; a person who wants to see all of a thousand reads the file. */
const MOST = 20

type Attrs = Readonly<Record<string, string>>

const number = (text: string | undefined) => Math.round(Number(text) || 0).toLocaleString('en-US')
const percent = (share: string | undefined) => `${Math.round((Number(share) || 0) * 100)} %`

/**
 * Summarizes the text of `status` (docs/files.md): a line for the server, then a table of its workers and one of its
 * models.
 */
export function summary(text: string): string {
  const records = parseRecords(text)
  const of = (word: string) => records.filter(record => record.word === word).map(({ attrs }) => attrs)
  const [server = {}] = of('server')
  const workers = of('worker').sort((a, b) => (a.name! < b.name! ? -1 : 1))
  const models = of('model')
  const more = workers.length - MOST
  return [
    `${headline(server)}\n`,
    ...(workers.length > 0 ? ['\n', table(WORKER, workers.slice(0, MOST).map(worker), true)] : []),
    ...(more > 0 ? [`… and ${number(`${more}`)} more; llamboctl top and the file status show all\n`] : []),
    ...(models.length > 0 ? ['\n', table(MODEL, models.map(model), true)] : []),
    ...models.flatMap(({ name, note }) => (note ? [`${name}: ${note}\n`] : [])),
  ].join('')
}

function headline(server: Attrs): string {
  const { kind = 'server', name = '', state = '', workers, loading, error } = server
  const now = loading ? `loading ${loading} (${percent(server.progress)})` : state
  const rates = [server.active, server.tok_s, server.queue]
  const busy = [
    `${number(server.tok_s)} tok/s`,
    ...(server.latency_ms === undefined ? [] : [`${number(server.latency_ms)} ms latency`]),
    `${number(server.queue)} queued`,
  ]
  const parts = [
    ...(workers === undefined ? [] : [`${number(workers)} ${workers === '1' ? 'worker' : 'workers'}`]),
    now,
    `${percent(server.util)} of ${number(server.slots)} slots in use`,
    ...(rates.some(rate => Number(rate) > 0) ? busy : []),
    `up ${duration(Number(server.uptime_s) || 0)}`,
  ]
  return `${kind} ${name}: ${parts.join(', ')}${error ? `\n${error}` : ''}`
}

/** The columns of a table of workers. */
export const WORKER = ['worker', 'state', 'in use', 'tok/s', 'class', 'model', 'host'] as const
/** The row of a worker, from the attributes of its record in `status`. */
export const worker = ({
  name = '',
  state = '',
  active,
  slots,
  tok_s,
  class: kind = '',
  model = '',
  host = '',
}: Attrs) => [name, state, `${active}/${slots}`, number(tok_s), kind, model, host]

const MODEL = ['model', 'type', 'size', 'context', 'loaded'] as const
const model = ({ name = '', type = '', size, context = '', loaded = '', problem, conflict }: Attrs) => [
  name,
  type,
  Number(size) > 0 ? bytes(Number(size)) : '',
  context,
  [loaded, problem, conflict && 'conflict'].filter(Boolean).join(': '),
]
