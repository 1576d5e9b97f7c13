/** Lays out the screen of `top`. */

import { clip, width } from '../cli/terminal/width.js'
import type { Model, Task, Worker } from './model.js'
import { distribution, eventLine, header, row, type Style, sorted, taskColumns, titles, workerColumns } from './view.js'

/** What the user has chosen to see. */
export interface Choice {
  /** The table that the keys act on. */
  table: 'workers' | 'tasks'
  readonly sort: { workers: string; tasks: string }
  readonly reverse: { workers: boolean; tasks: boolean }
  filter: string
  /**
   * The name of the chosen worker and the number of the chosen task. If it is not there any more, the first row is
   * chosen.
   */
  readonly chosen: { workers: string; tasks: string }
  /** The detail view, if it is shown instead of the tables. */
  detail: { title: string; lines: readonly string[]; top: number } | undefined
  help: boolean
  /** A line at the bottom: a question, what is being typed, or the result of an action. */
  message: string
}

export const firstChoice = (): Choice => ({
  table: 'workers',
  sort: { workers: 'utilisation', tasks: 'state' },
  reverse: { workers: false, tasks: false },
  filter: '',
  chosen: { workers: '', tasks: '' },
  detail: undefined,
  help: false,
  message: '',
})

const HELP = [
  'Up Down PgUp PgDn Home End   select a row (also j k)',
  'Tab                          switch between workers and tasks',
  'Enter, Right                 show its details: status and events, or a task’s trace',
  'Esc, Left                    go back',
  's, S                         sort by the next column, the previous column',
  'r                            reverse the order',
  '/                            show only rows that contain a text; Esc: show all',
  'c                            cancel the selected task (asks first)',
  '?                            show these keys',
  'q, Ctrl-C                    quit',
]

const has = (row: object, filter: string) =>
  Object.values(row).some(value => typeof value === 'string' && value.toLowerCase().includes(filter.toLowerCase()))

/** The rows of a table, filtered and sorted as the user has chosen. */
export const rowsOf = {
  workers: (model: Model, { sort, reverse, filter }: Choice): Worker[] =>
    sorted(
      [...model.workers.values()].filter(worker => has(worker, filter)),
      workerColumns,
      sort.workers,
      reverse.workers,
    ),
  tasks: (model: Model, { sort, reverse, filter }: Choice): Task[] =>
    sorted(
      [...model.tasks.values()].filter(task => has(task, filter)),
      taskColumns,
      sort.tasks,
      reverse.tasks,
    ),
}

const keyOf = (row: Worker | Task) => ('id' in row ? row.id : row.name)

/** The position of the chosen row; 0 if it is gone. */
export const position = (rows: readonly (Worker | Task)[], chosen: string): number =>
  Math.max(
    0,
    rows.findIndex(row => keyOf(row) === chosen),
  )

export { keyOf }

/** The first of the `count` visible rows, chosen so that row `at` is among them. */
const top = (at: number, length: number, count: number) =>
  Math.max(0, Math.min(at - Math.floor(count / 2), length - count))

export interface Page {
  readonly lines: string[]
  /** How many rows of each table fit; PgDn moves by this many. */
  readonly fit: { workers: number; tasks: number }
  /** The tasks on the screen. */
  readonly tasks: readonly string[]
}

/** Everything on one screen. Only rows that are visible are rendered. @param now ms since 1970 */
export function page(model: Model, choice: Choice, columns: number, rows: number, now: number, style: Style): Page {
  const { color, unicode } = style
  const bottom = choice.message || 'q quit  ? help  Enter details  Tab tables  s sort  / filter  c cancel'
  const filter = choice.filter ? `filter: ${choice.filter}  ` : ''
  const footer = color.inverse(clip(` ${filter}${bottom}`.padEnd(columns), columns))
  const framed = (title: string, lines: readonly string[]): Page => {
    const shown = lines.slice(0, rows - 2).map(line => clip(line, columns))
    const filler = Array(Math.max(0, rows - 2 - shown.length)).fill('')
    return {
      lines: [clip(color.bold(title), columns), ...shown, ...filler, footer],
      fit: { workers: 1, tasks: 1 },
      tasks: [],
    }
  }
  if (choice.help) return framed('llamboctl top: keys', HELP)
  if (choice.detail) return framed(choice.detail.title, choice.detail.lines.slice(choice.detail.top))

  const head = header(model, now, columns, style)
  const classes = distribution(model, columns, style)
  const all = { workers: rowsOf.workers(model, choice), tasks: rowsOf.tasks(model, choice) }
  // classes, events and tasks can spare rows most easily, in this order, and get a bounded share; the table of workers
  // gets what is left
  const spare = rows - head.length - 1
  const shares = classes.slice(0, Math.max(0, Math.min(6, Math.floor(spare / 5))))
  const events = Math.max(0, Math.min(6, Math.floor(spare / 5)))
  const tasks = Math.max(1, Math.min(all.tasks.length, Math.floor(spare / 4)))
  // each part but the first has an empty row or a title above it
  const workers = Math.max(1, spare - (shares.length && shares.length + 1) - (events && events + 1) - tasks - 3)

  const table = <Row extends Worker | Task>(
    name: 'workers' | 'tasks',
    list: readonly Row[],
    fit: number,
    columnsOf: Parameters<typeof row<Row>>[0],
  ) => {
    const at = position(list, choice.chosen[name])
    const first = top(at, list.length, fit)
    const shown = list.slice(first, first + fit)
    const focus = choice.table === name
    const arrow = unicode ? '▸' : '>'
    const lines = shown.map((data, i) => {
      const line = row(columnsOf, data, columns - 2, style)
      return focus && first + i === at ? `${color.bold(`${arrow} `)}${color.bold(line)}` : `  ${line}`
    })
    const more = list.length > fit ? `  ${first + 1}-${first + shown.length} of ${list.length}` : ''
    const title = titles(columnsOf, columns - 2 - width(more), choice.sort[name], choice.reverse[name], style)
    return { title: `  ${title}${color.dim(more)}`, lines: [...lines, ...Array(fit - lines.length).fill('')], shown }
  }
  const w = table('workers', all.workers, workers, workerColumns)
  const t = table('tasks', all.tasks, tasks, taskColumns)
  const last = events ? model.events.slice(-events) : []
  const recent = last.map(event => `  ${eventLine(event, columns - 2, style)}`)
  const lines = [
    ...head,
    ...(shares.length ? [color.bold('Node distribution'), ...shares] : []),
    '',
    w.title,
    ...w.lines,
    t.title,
    ...t.lines,
    ...(events ? [color.bold('Recent events'), ...recent, ...Array(events - recent.length).fill('')] : []),
  ].slice(0, rows - 1)
  const filler = Array(Math.max(0, rows - 1 - lines.length)).fill('')
  return { lines: [...lines, ...filler, footer], fit: { workers, tasks }, tasks: t.shown.map(keyOf) }
}

/** The whole state, once and with all rows, for a file or a terminal that cannot be drawn on. */
export function snapshot(model: Model, columns: number, now: number, style: Style): string {
  const choice = firstChoice()
  const part = (title: string, lines: readonly string[]) => ['', title, ...(lines.length ? lines : ['(none)'])]
  return [
    ...header(model, now, columns, style),
    ...part('Node distribution', distribution(model, columns, style)),
    ...part(
      titles(workerColumns, columns, undefined, false, style),
      rowsOf
        .workers(model, { ...choice, sort: { ...choice.sort, workers: 'name' } })
        .map(w => row(workerColumns, w, columns, style)),
    ),
    ...part(
      titles(taskColumns, columns, undefined, false, style),
      rowsOf.tasks(model, choice).map(t => row(taskColumns, t, columns, style)),
    ),
    ...part(
      'Recent events',
      model.events.slice(-10).map(event => eventLine(event, columns, style)),
    ),
  ]
    .map(line => `${line.trimEnd()}\n`)
    .join('')
}
