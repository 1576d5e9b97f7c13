/** The builtin `watch`: runs a command again and again. */

import { setTimeout as pause } from 'node:timers/promises'
import { sanitize } from '../../cli/terminal/sanitize.js'
import { clip } from '../../cli/terminal/width.js'
import type { Call } from '../call.js'
import { Capture, empty } from '../pipe.js'

/** How many bytes of one run's output are kept, to be shown at once. */
const MAX_LOOK = 1024 * 1024
const HOMEWARD = '\x1b[H'
const REST_OF_LINE = '\x1b[K'
const REST_OF_SCREEN = '\x1b[J'
const CLEAR = '\x1b[H\x1b[2J'

/** Waits. @throws after Ctrl-C, or when nobody reads the output any more */
async function rest(call: Call, ms: number): Promise<void> {
  await pause(ms, undefined, { signal: call.reading }).catch(() => undefined)
  if (call.reading.aborted) throw call.reading.reason
}

/** Draws a text over the previous one, in as many rows as the terminal has. */
async function draw(call: Call, text: string, first: boolean): Promise<void> {
  const columns = call.out.columns ?? 80
  const most = (process.stdout.rows ?? 24) - 1
  const rows = text.replace(/\n$/, '').split('\n').slice(0, most)
  const screen = rows.map(row => `${clip(sanitize(row), columns)}${REST_OF_LINE}\n`).join('')
  await call.styled(`${first ? CLEAR : HOMEWARD}${screen}${REST_OF_SCREEN}`)
}

export async function watch(call: Call): Promise<void> {
  const every = call.seconds('n', 2, 0.1) * 1000
  const times = call.options.t === undefined ? Number.POSITIVE_INFINITY : call.count('t', 1, 1)
  const [name = '', ...args] = call.args
  for (let i = 0; i < times; i++) {
    if (i > 0) await rest(call, every)
    const kept = new Capture(MAX_LOOK, call.out.columns)
    const io = { stdin: empty, stdout: kept, stderr: kept, signal: call.reading }
    await call.evaluator.invoke(name, args, io, call.state)
    if (call.terminal) await draw(call, kept.text, i === 0)
    else await call.print(kept.text)
  }
}
