/** Runs `top`: the cluster on one screen. */

import { emitKeypressEvents } from 'node:readline'
import type { ReadStream, WriteStream } from 'node:tty'
import { rows } from '../api/record-file.js'
import type { Run } from '../cli/command.js'
import type { Invocation } from '../cli/invocation.js'
import { bytes, duration } from '../cli/output.js'
import { sanitize } from '../cli/terminal/sanitize.js'
import { Keys } from './keys.js'
import { Model } from './model.js'
import { firstChoice, page, snapshot } from './page.js'
import { Screen } from './screen.js'
import { Source } from './source.js'
import { eventLine, type Style } from './view.js'

/** Columns of a snapshot if the width of the output is not known. */
const WIDE = 120
/** The least time between two draws of the screen, in ms. A key is answered at once. */
const DRAW_MS = 50

export const run: Run = async (io, _args, { once, json }) => {
  const { LC_ALL, LC_CTYPE, LANG, TERM } = io.env
  const style: Style = { color: io.colors(io.stdout), unicode: /utf-?8/i.test(LC_ALL || LC_CTYPE || LANG || '') }
  const drawable = io.stdout.isTTY && io.stdin.isTTY && TERM !== 'dumb' && !io.env.NO_COLOR
  if (drawable && !once && !json) return watch(io, style)
  const model = new Model()
  const source = new Source(io, model, () => undefined)
  await source.open()
  await source.once()
  source.close()
  const events = model.events.map(({ known: _, ...event }) => event)
  const [{ record: _, ...server } = { record: '' }] = rows(model.line, 'status')
  const [workers, tasks] = [[...model.workers.values()], [...model.tasks.values()]]
  const all = { server, health: model.health(), classes: model.classes(), workers, tasks, events }
  await io.print(
    json ? `${JSON.stringify(all, null, 2)}\n` : snapshot(model, io.stdout.columns || WIDE, Date.now(), style),
  )
}

/** An attribute's value for people: sizes and durations have their unit. */
function spoken(name: string, value: string): string {
  const n = Number(value)
  if (value === '' || !Number.isFinite(n)) return value
  if (/^(mem_|memory|gpu_mem$|size$)/.test(name)) return bytes(n)
  return name === 'uptime_s' ? duration(n) : value
}

/** A file of records as lines for the detail view: each record with its attributes below it. */
export function readable(text: string): string[] {
  try {
    return rows(text, 'status').flatMap(({ record, ...attrs }) => [
      record,
      ...Object.entries(attrs).map(
        ([name, value]) => `  ${name.padEnd(18)} ${sanitize(spoken(name, value)).replace(/[\n\t]/g, ' ')}`,
      ),
    ])
  } catch {
    return sanitize(text).split('\n')
  }
}

/** Shows the screen until the user leaves it. */
async function watch(io: Invocation, style: Style): Promise<void> {
  const model = new Model()
  const choice = firstChoice()
  const screen = new Screen(io.stdout as WriteStream, io.stdin as ReadStream)
  const over = new AbortController()
  const signal = AbortSignal.any([io.signal, over.signal])
  let shown = page(model, choice, screen.columns, screen.rows, Date.now(), style)
  let due: NodeJS.Timeout | undefined
  const draw = () => {
    clearTimeout(due)
    due = undefined
    shown = page(model, choice, screen.columns, screen.rows, Date.now(), style)
    screen.draw(shown.lines)
  }
  const soon = () => {
    due ??= setTimeout(draw, DRAW_MS)
  }
  const source = new Source(io, model, soon, () => shown.tasks)
  const keys = new Keys(model, choice, () => shown)

  /** Reads what the detail view shows, again every second. */
  let looking: (() => Promise<readonly string[]>) | undefined
  const look = async () => {
    if (!looking) return
    if (!choice.detail) {
      looking = undefined
      return
    }
    const mine = looking
    const lines = await mine()
    if (looking === mine && choice.detail) {
      choice.detail = { ...choice.detail, lines }
      draw()
    }
  }
  const open = () => {
    const name = keys.chosen
    const isTask = choice.table === 'tasks'
    choice.detail = { title: `${isTask ? 'task ' : ''}${name}`, lines: ['…'], top: 0 }
    looking = async () => {
      const path = isTask ? ['task', name] : [name]
      const status = readable(await source.read([...path, 'status']))
      if (isTask) return [...status, '', 'trace', ...sanitize(await source.read([...path, 'trace'])).split('\n')]
      const own = model.events.filter(({ attrs }) => attrs.worker === name)
      return [...status, '', 'events', ...own.reverse().map(event => eventLine(event, screen.columns, style))]
    }
    void look()
  }
  const stop = () => {
    screen.leave()
    process.once('SIGCONT', () => {
      screen.enter()
      draw()
    })
    process.kill(process.pid, 'SIGSTOP')
  }
  const onKey = (text: string | undefined, key: Parameters<Keys['press']>[1]) => {
    const wish = keys.press(text, key)
    if (wish?.do === 'leave') over.abort()
    else if (wish?.do === 'look') open()
    else if (wish?.do === 'stop') return stop()
    else if (wish?.do === 'cancel') {
      void source.cancel(wish.task).then(said => {
        choice.message = said
        draw()
      })
    }
    draw()
  }
  const resized = () => {
    screen.forget()
    draw()
  }

  await source.open()
  emitKeypressEvents(io.stdin, { escapeCodeTimeout: 50 } as never)
  io.stdin.on('keypress', onKey)
  io.stdout.on('resize', resized)
  const tick = setInterval(() => {
    draw()
    void look()
  }, 1000)
  try {
    screen.enter()
    draw()
    const gone = new Promise<void>(resolve => io.stdin.once('end', resolve).once('error', () => resolve()))
    await Promise.race([source.run(signal), gone])
  } finally {
    over.abort()
    clearInterval(tick)
    clearTimeout(due)
    io.stdin.off('keypress', onKey)
    io.stdout.off('resize', resized)
    source.close()
    screen.leave()
  }
  io.signal.throwIfAborted()
}
