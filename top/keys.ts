/** What each key of `top` does. */

import type { Key } from 'node:readline'
import type { Model } from './model.js'
import { type Choice, keyOf, type Page, position, rowsOf } from './page.js'
import { taskColumns, workerColumns } from './view.js'

/** What a key asks for, if that is more than a change of the display. */
export type Wish = { do: 'leave' } | { do: 'look' } | { do: 'cancel'; task: string } | { do: 'stop' } | undefined

const columns = { workers: workerColumns, tasks: taskColumns }

/** The question at the bottom of the screen. */
type Asking = { what: 'filter'; before: string } | { what: 'cancel'; task: string }

/** Takes keys one by one: changes the display, and returns anything else that the key asks for. */
export class Keys {
  #asking: Asking | undefined

  constructor(
    readonly model: Model,
    readonly choice: Choice,
    /** The page that is on the screen. */
    readonly page: () => Page,
  ) {}

  press(text: string | undefined, key: Key): Wish {
    const name = key.name ?? text ?? ''
    // Esc and at once another key look like Alt and that key, which has no meaning here
    if (key.meta && name !== 'escape') {
      this.press(undefined, { name: 'escape' })
      const { meta: _, ...rest } = key
      return this.press(key.sequence?.slice(1), rest)
    }
    if (key.ctrl && name === 'c') return { do: 'leave' }
    if (key.ctrl && name === 'z') return { do: 'stop' }
    if (this.#asking) return this.#answer(this.#asking, text ?? '', name)
    const { choice } = this
    choice.message = ''
    if (choice.help) {
      if (name === 'q') return { do: 'leave' }
      choice.help = false
      return
    }
    return choice.detail ? this.#inDetail(name, text) : this.#inTables(name, text)
  }

  #inDetail(name: string, text: string | undefined): Wish {
    const detail = this.choice.detail!
    const last = Math.max(0, detail.lines.length - 1)
    const steps: Record<string, number> = {
      up: -1,
      k: -1,
      down: 1,
      j: 1,
      pageup: -10,
      pagedown: 10,
      home: -last,
      end: last,
    }
    if (name in steps) detail.top = Math.min(last, Math.max(0, detail.top + steps[name]!))
    else if (name === 'escape' || name === 'left' || name === 'backspace') this.choice.detail = undefined
    else if (text === 'c') this.#askCancel()
    else if (text === '?') this.choice.help = true
    else if (name === 'q') return { do: 'leave' }
    return
  }

  #inTables(name: string, text: string | undefined): Wish {
    const { choice } = this
    const { table } = choice
    const page = this.page().fit[table]
    const steps: Record<string, number> = {
      up: -1,
      k: -1,
      down: 1,
      j: 1,
      pageup: -page,
      pagedown: page,
      home: Number.NEGATIVE_INFINITY,
      end: Number.POSITIVE_INFINITY,
    }
    if (text === 's' || text === 'S') this.#sort(text === 's' ? 1 : -1)
    else if (name in steps) this.#move(steps[name]!)
    else if (name === 'tab') choice.table = table === 'workers' ? 'tasks' : 'workers'
    else if (name === 'r') choice.reverse[table] = !choice.reverse[table]
    else if (name === 'escape') choice.filter = ''
    else if (name === 'return' || name === 'right') return this.chosen ? { do: 'look' } : undefined
    else if (text === '/') this.#ask({ what: 'filter', before: choice.filter })
    else if (text === '?') choice.help = true
    else if (text === 'c') this.#askCancel()
    else if (name === 'q') return { do: 'leave' }
    return
  }

  /** The name of the chosen worker or the number of the chosen task; '' if there is none. */
  get chosen(): string {
    const { table, chosen } = this.choice
    const rows = rowsOf[table](this.model, this.choice)
    const row = rows[position(rows, chosen[table])]
    return row ? keyOf(row) : ''
  }

  #move(by: number): void {
    const { table, chosen } = this.choice
    const rows = rowsOf[table](this.model, this.choice)
    const at = Math.min(rows.length - 1, Math.max(0, position(rows, chosen[table]) + by))
    if (rows[at]) chosen[table] = keyOf(rows[at])
  }

  #sort(by: number): void {
    const { table, sort } = this.choice
    const names = columns[table].map(({ name }) => name)
    sort[table] = names.at((names.indexOf(sort[table]) + by) % names.length)!
  }

  #askCancel(): void {
    const task = this.choice.table === 'tasks' ? this.chosen : ''
    if (task) this.#ask({ what: 'cancel', task })
    else this.choice.message = 'no task is selected; Tab switches to the tasks'
  }

  #ask(asking: Asking): void {
    this.#asking = asking
    this.choice.message = asking.what === 'filter' ? `/${this.choice.filter}` : `cancel task ${asking.task}? y or n`
  }

  #answer(asking: Asking, text: string, name: string): Wish {
    const { choice } = this
    const done = (): Wish => {
      this.#asking = undefined
      choice.message = ''
      return undefined
    }
    if (asking.what === 'cancel') {
      done()
      return text === 'y' ? { do: 'cancel', task: asking.task } : undefined
    }
    if (name === 'return') return done()
    if (name === 'escape') {
      choice.filter = asking.before
      return done()
    }
    if (name === 'backspace') choice.filter = [...choice.filter].slice(0, -1).join('')
    else if (/^\P{Cc}+$/u.test(text)) choice.filter += text
    choice.message = `/${choice.filter}`
    return
  }
}
