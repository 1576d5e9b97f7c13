/** Renders the parts of `top`'s screen. */

import type { ChalkInstance } from 'chalk'
import type { Event } from '../api/events.js'
import { duration } from '../cli/output.js'
import { sanitize } from '../cli/terminal/sanitize.js'
import { clip, width } from '../cli/terminal/width.js'
import type { Model, Task, Worker } from './model.js'

/** How a screen is drawn. */
export interface Style {
  readonly color: ChalkInstance
  /** Whether the terminal shows more than ASCII. */
  readonly unicode: boolean
}

/** A column of a table. */
interface Column<Row> {
  readonly name: string
  readonly title: string
  readonly width: number
  readonly right?: boolean
  readonly text: (row: Row, style: Style) => string
  /** The sort key; the smallest comes first. */
  readonly by: (row: Row) => string | number
}

/** Text from others, as one line that is harmless to a terminal. */
const safe = (text: string) => sanitize(text).replace(/[\n\t]/g, ' ')

const thousands = (n: number) => Math.round(n).toLocaleString('en-US')
const rate = (n: number) => (n === 0 ? '0' : n < 100 ? n.toFixed(1) : thousands(n))
const percent = (share: number) => `${Math.round(share * 100)} %`

/** A bar that is filled to `share`, from 0 to 1. */
export function bar(share: number, columns: number, { unicode }: Style): string {
  const full = Math.min(columns, Math.max(0, Math.round(share * columns)))
  return unicode ? '█'.repeat(full) + '░'.repeat(columns - full) : '#'.repeat(full) + '.'.repeat(columns - full)
}

const colors: Readonly<Record<string, 'green' | 'cyan' | 'yellow' | 'red' | 'magenta' | 'blue'>> = {
  HEALTHY: 'green',
  idle: 'green',
  busy: 'cyan',
  BUSY: 'cyan',
  running: 'cyan',
  prefill: 'cyan',
  stale: 'yellow',
  DEGRADED: 'yellow',
  queued: 'yellow',
  draining: 'magenta',
  DRAINING: 'magenta',
  loading: 'blue',
  joining: 'blue',
  STARTING: 'blue',
  failed: 'red',
  down: 'red',
  DOWN: 'red',
}

const load = (w: Worker) => w.active / (w.slots || 1)

export const workerColumns: readonly Column<Worker>[] = [
  { name: 'name', title: 'WORKER', width: 14, text: w => w.name, by: w => w.name },
  {
    name: 'state',
    title: 'STATE',
    width: 13,
    text: w => (w.state === 'loading' && w.progress !== undefined ? `loading ${percent(w.progress)}` : w.state),
    by: w => w.state,
  },
  {
    name: 'utilisation',
    title: 'UTILISATION',
    width: 18,
    text: (w, style) => (w.state === 'down' ? '' : `${bar(load(w), 10, style)} ${w.active}/${w.slots}`),
    by: w => -load(w),
  },
  { name: 'tok/s', title: 'TOK/S', width: 8, right: true, text: w => rate(w.tok_s), by: w => -w.tok_s },
  { name: 'queue', title: 'QUEUE', width: 6, right: true, text: w => String(w.queue), by: w => -w.queue },
  { name: 'class', title: 'CLASS', width: 10, text: w => w.class, by: w => w.class },
  { name: 'host', title: 'HOST', width: 14, text: w => w.host, by: w => w.host },
  { name: 'model', title: 'MODEL', width: 24, text: w => w.model, by: w => w.model },
]

export const taskColumns: readonly Column<Task>[] = [
  { name: 'task', title: 'TASK', width: 8, right: true, text: t => t.id, by: t => Number(t.id) },
  {
    name: 'state',
    title: 'STATE',
    width: 11,
    text: t => (t.state === 'queued' && t.position ? `queued ${t.position}` : t.state),
    by: t => `${t.state === 'queued' ? 1 : 0} ${String(t.position).padStart(9)}`,
  },
  { name: 'user', title: 'USER', width: 12, text: t => t.user, by: t => t.user },
  { name: 'worker', title: 'WORKER', width: 14, text: t => t.worker, by: t => t.worker },
  { name: 'tokens', title: 'TOKENS', width: 8, right: true, text: t => thousands(t.tokens), by: t => -t.tokens },
  { name: 'tok/s', title: 'TOK/S', width: 8, right: true, text: t => rate(t.tok_s), by: t => -t.tok_s },
  { name: 'ttft', title: 'TTFT MS', width: 8, right: true, text: t => thousands(t.ttft_ms), by: t => -t.ttft_ms },
]

/** Sorts rows by a column; rows that are equal there by the first column. */
export function sorted<Row>(
  rows: Iterable<Row>,
  columns: readonly Column<Row>[],
  name: string,
  reverse: boolean,
): Row[] {
  const keys = [columns.find(column => column.name === name) ?? columns[0]!, columns[0]!].map(({ by }) => by)
  const compare = (a: string | number, b: string | number) => (a < b ? -1 : a > b ? 1 : 0)
  const all = [...rows].sort((a, b) => compare(keys[0]!(a), keys[0]!(b)) || compare(keys[1]!(a), keys[1]!(b)))
  return reverse ? all.reverse() : all
}

/** The columns that fit into `room`. */
function fitting<Row>(columns: readonly Column<Row>[], room: number): readonly Column<Row>[] {
  let left = room
  return columns.filter(column => (left -= column.width + 1) >= -1)
}

function cell(text: string, columns: number, right = false): string {
  const cut = clip(safe(text), columns)
  const pad = ' '.repeat(Math.max(0, columns - width(cut)))
  return right ? pad + cut : cut + pad
}

/** The title row of a table, with a mark at the column by which it is sorted. */
export function titles<Row>(
  columns: readonly Column<Row>[],
  room: number,
  sort: string | undefined,
  reverse: boolean,
  { color, unicode }: Style,
): string {
  const mark = unicode ? (reverse ? '▲' : '▼') : reverse ? '^' : 'v'
  const line = fitting(columns, room)
    .map(c => cell(c.name === sort ? `${c.title}${mark}` : c.title, c.width, c.right))
    .join(' ')
  return color.bold(line.trimEnd())
}

/** A row of a table. */
export function row<Row extends { state: string }>(
  columns: readonly Column<Row>[],
  data: Row,
  room: number,
  style: Style,
): string {
  const cells = fitting(columns, room).map(c => {
    const text = cell(c.text(data, style), c.width, c.right)
    const name = c.name === 'state' ? colors[data.state] : undefined
    return name ? style.color[name](text) : text
  })
  return cells.join(' ').trimEnd()
}

/** `12:34:56  worker-joined worker=worker-0742 host=beta`. */
export function eventLine({ time, kind, attrs }: Event, room: number, { color }: Style): string {
  const date = new Date(time)
  const at = Number.isNaN(date.getTime()) ? '' : date.toTimeString().slice(0, 8)
  const rest = Object.entries(attrs).map(([name, value]) => `${name}=${value}`)
  const bad = 'error' in attrs || kind.endsWith('-left')
  const line = clip(safe(`${kind} ${rest.join(' ')}`), Math.max(0, room - 10))
  return `${color.dim(at)}  ${bad ? color.red(line) : line}`
}

/**
 * The cluster in a few rows: nodes, status, throughput, latency, utilisation, uptime, queue. @param now ms since 1970
 */
export function header(model: Model, now: number, room: number, style: Style): string[] {
  const { color } = style
  const { workers, tasks } = model
  const { name = '', tok_s = 0, latency_ms = 0, util = 0, uptime_s = 0, queue = 0 } = model.server ?? {}
  const { word, why } = model.health()
  const up = [...workers.values()].filter(w => w.state === 'idle' || w.state === 'busy').length
  const age = (now - model.at) / 1000
  const late = model.at > 0 && age >= 3 ? `  ${color.yellow(`last update ${duration(age)} ago`)}` : ''
  const queued = [...tasks.values()].filter(({ state }) => state === 'queued').length
  const painted = color[colors[word]!].bold(word)
  const pairs: readonly (readonly [string, string, string, string])[] = [
    ['Active nodes', `${thousands(up)}/${thousands(workers.size)}`, 'Status', `${painted}${why && `  ${safe(why)}`}`],
    [
      'Throughput',
      `${rate(tok_s)} tok/s`,
      'Latency',
      latency_ms === 0 ? 'not known yet' : `${Math.round(latency_ms)} ms`,
    ],
    ['Utilisation', `${bar(util, 10, style)} ${percent(util)}`, 'Uptime', duration(uptime_s)],
    ['Running', thousands(tasks.size - queued), 'Queued', thousands(Math.max(queued, queue))],
  ]
  return [
    clip(`${color.bold('LLAMBO CLUSTER')} ${safe(name)}${late}`, room),
    ...pairs.map(([a, b, c, d]) => clip(`${color.dim(cell(a, 13))}${cell(b, 22)} ${color.dim(cell(c, 9))}${d}`, room)),
  ]
}

/** How the workers are divided among classes, a bar for each class. */
export function distribution(model: Model, room: number, style: Style): string[] {
  const columns = Math.max(5, Math.min(40, room - 40))
  return model.classes().map(({ class: name, workers, share }) => {
    const drawn = style.color.cyan(bar(share, columns, style))
    return clip(
      `${drawn} ${cell(name, 14)} ${cell(thousands(workers), 7, true)} ${cell(percent(share), 6, true)}`,
      room,
    )
  })
}
