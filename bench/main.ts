/**
 * `npm run bench [-- WORD …]`: how fast, beside the best there is for each thing; with words, the rows whose names have one of
 * them. A table on standard output, all figures in bench/results/TIME.json. Nothing here passes or fails.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { cpus, loadavg } from 'node:os'
import { join } from 'node:path'
import { overFuse } from './fuse.js'
import { growth, sessions } from './growth.js'
import { activeBesideIdle } from './idle.js'
import type { Result, Skipped } from './measure.js'
import { idleConnection, idleServer, ready, version } from './process.js'
import { built, cleanUp } from './programs.js'
import { againstDiod } from './rows.js'
import { tokens } from './tokens.js'

const words = process.argv.slice(2)
const wanted = (what: string) => words.length === 0 || words.some(word => what.includes(word))
const results: (Result | Skipped)[] = []

const number = (n: number) => (Math.abs(n) >= 100 ? n.toFixed(0) : n.toPrecision(3))
const line = (...columns: string[]) => {
  process.stdout.write(`${columns.map((c, i) => (i ? c.padStart(11) : c.padEnd(52))).join(' ')}\n`)
}

function show(row: Result | Skipped): void {
  results.push(row)
  if ('skipped' in row) return line(row.what, row.skipped)
  const { aim, figure, spread } = row
  const asked = aim.least === undefined ? `<= ${aim.most}` : `>= ${aim.least}`
  line(
    `${row.what}, ${row.unit}`,
    number(row.ours),
    number(row.theirs),
    number(figure),
    `${number(spread[0])}-${number(spread[1])}`,
    asked,
    row.met ? 'met' : 'MISSED',
    row.load.toFixed(1),
  )
  if (row.note) line(`  (${row.note})`)
}

process.on('exit', cleanUp)
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(1))

line('what', 'ours', 'other', 'figure', 'spread', 'aim', '', 'load')
for (const rows of [againstDiod, tokens, growth, sessions, overFuse]) for await (const row of rows(wanted)) show(row)
for (const [what, run] of [
  ['llamboctl --version', version],
  ['up -d to ready', ready],
  ['idle connection', idleConnection],
  ['idle server', idleServer],
  ['active client beside idle connections', activeBesideIdle],
] as const)
  if (wanted(what)) show(await run())

const folder = built('../bench/results')
mkdirSync(folder, { recursive: true })
const file = join(folder, `${new Date().toISOString().replace(/[:.]/g, '-')}.json`)
const machine = { node: process.version, cpu: cpus()[0]?.model, cores: cpus().length, load: loadavg() }
writeFileSync(file, `${JSON.stringify({ machine, results }, undefined, 2)}\n`)
process.stdout.write(`${file}\n`)
process.exit(0)
