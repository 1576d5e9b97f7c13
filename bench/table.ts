/** Prints and saves the rows of a benchmark. */

import { mkdirSync, writeFileSync } from 'node:fs'
import { cpus, loadavg } from 'node:os'
import { join } from 'node:path'
import type { Result, Skipped } from './measure.js'
import { built } from './programs.js'

const number = (n: number) => (Math.abs(n) >= 100 ? n.toFixed(0) : n.toPrecision(3))
const line = (...columns: string[]) => {
  process.stdout.write(`${columns.map((c, i) => (i ? c.padStart(11) : c.padEnd(58))).join(' ')}\n`)
}

/** The rows of a run: printed as they come, and saved in bench/results/ at the end. */
export class Table {
  readonly #results: (Result | Skipped)[] = []

  constructor() {
    line('what', 'ours', 'other', 'figure', 'spread', 'aim', '', 'load')
  }

  show(row: Result | Skipped): void {
    this.#results.push(row)
    if ('skipped' in row) return line(row.what, row.skipped)
    const { aim, figure, spread } = row
    const none = aim.least === undefined && aim.most === undefined
    line(
      `${row.what}, ${row.unit}`,
      number(row.ours),
      number(row.theirs),
      number(figure),
      `${number(spread[0])}-${number(spread[1])}`,
      none ? '' : aim.least === undefined ? `<= ${aim.most}` : `>= ${aim.least}`,
      none ? '' : row.met ? 'met' : 'MISSED',
      row.load.toFixed(1),
    )
    if (row.note) line(`  (${row.note})`)
  }

  /** How many rows there are, and how many of them missed their aim. */
  get summary(): string {
    const missed = this.#results.filter(row => !('skipped' in row) && !row.met).length
    return `${this.#results.length} rows, ${missed} missed their aim`
  }

  /** Writes bench/results/TIME.json. */
  save(): void {
    const folder = built('../bench/results')
    mkdirSync(folder, { recursive: true })
    const file = join(folder, `${new Date().toISOString().replace(/[:.]/g, '-')}.json`)
    const machine = { node: process.version, cpu: cpus()[0]?.model, cores: cpus().length, load: loadavg() }
    writeFileSync(file, `${JSON.stringify({ machine, results: this.#results }, undefined, 2)}\n`)
    process.stdout.write(`${file}\n`)
  }
}
