import { setTimeout as pause } from 'node:timers/promises'
import { table } from '../../ctl/common/output.js'
import { sanitize } from '../../ctl/common/terminal/sanitize.js'
import { clip } from '../../ctl/common/terminal/width.js'
import type { Call } from '../call.js'
import { invoke } from '../evaluate.js'
import { Capture, empty } from '../pipe.js'
import { HOME } from '../state.js'
import { records, taskColumns, tasks } from './cluster.js'

/** Bytes of one look that are kept to be shown at once. */
const MAX_LOOK = 1024 * 1024
const HOMEWARD = '\x1b[H'
const REST_OF_LINE = '\x1b[K'
const REST_OF_SCREEN = '\x1b[J'
const CLEAR = '\x1b[H\x1b[2J'

/** Waits, until Ctrl-C or until nobody reads. */
async function rest(call: Call, ms: number): Promise<void> {
  await pause(ms, undefined, { signal: call.reading }).catch(() => undefined)
  if (call.reading.aborted) throw call.reading.reason
}

/** Draws a text over the last one, in as many rows as the terminal has. */
async function draw(call: Call, text: string, first: boolean): Promise<void> {
  const columns = call.out.columns ?? 80
  const most = (process.stdout.rows ?? 24) - 1
  const rows = text.replace(/\n$/, '').split('\n').slice(0, most)
  const screen = rows.map(row => `${clip(sanitize(row), columns)}${REST_OF_LINE}\n`).join('')
  await call.styled(`${first ? CLEAR : HOMEWARD}${screen}${REST_OF_SCREEN}`)
}

export async function watch(call: Call): Promise<void> {
  const every = call.number('n', 2, 0.1) * 1000
  const times = call.options.t === undefined ? Number.POSITIVE_INFINITY : call.number('t', 1, 1)
  const [name = '', ...args] = call.args
  for (let i = 0; i < times; i++) {
    if (i > 0) await rest(call, every)
    const kept = new Capture(MAX_LOOK)
    const io = { stdin: empty, stdout: kept, stderr: kept, signal: call.reading }
    await invoke(name, args, io, call.state)
    if (call.terminal) await draw(call, kept.text, i === 0)
    else await call.print(kept.text)
  }
}

/** Words in as many lines as they need. */
function wrapped(words: readonly string[], columns = 80): string {
  const lines = ['']
  for (const word of words) {
    const last = lines.length - 1
    const longer = lines[last] === '' ? word : `${lines[last]}  ${word}`
    if (longer.length > columns && lines[last] !== '') lines.push(word)
    else lines[last] = longer
  }
  return `${lines.join('\n')}\n`
}

async function look(call: Call): Promise<string> {
  const all = await records(call, `${HOME}/status`)
  const server = all.find(({ record }) => record === 'server') ?? ({} as Record<string, string>)
  const line = [
    'name',
    'state',
    'workers',
    'slots',
    'active',
    'queue',
    'util',
    'tok_s',
    'latency_ms',
    'strategy',
    'uptime_s',
  ]
    .filter(attr => server[attr] !== undefined)
    .map(attr => `${attr}=${server[attr]}`)
  const workerColumns = ['name', 'host', 'state', 'model', 'slots', 'active', 'tok_s'] as const
  const workers = all
    .filter(({ record }) => record === 'worker')
    .map(row => workerColumns.map(column => row[column] ?? ''))
  const running = (await tasks(call)).map(row => taskColumns.map(column => row[column] ?? ''))
  return `${wrapped(line, call.out.columns)}\n${table(workerColumns, workers, true)}\n${table(taskColumns, running, true)}`
}

/** On a terminal drawn anew each second; else one look. */
export async function top(call: Call): Promise<void> {
  if (!call.terminal) return call.print(await look(call))
  for (let first = true; ; first = false) {
    await draw(call, await look(call), first)
    await rest(call, 1000)
  }
}
