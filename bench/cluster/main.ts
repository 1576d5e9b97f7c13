/**
 * `npm run bench:cluster [-- WORD …]`: measures what an orchestrator carries, and what it adds. Rows are printed and
 * kept as by `npm run bench`. The orchestrator has one core, its workers and clients share another. Nothing here passes
 * or fails.
 */

import { spawnSync } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { keep } from '../../test/report.js'
import { cleanUp } from '../programs.js'
import { Table } from '../table.js'
import { growth, most } from './growth.js'
import { hop } from './hop.js'
import { thousand } from './thousand.js'
import { warm } from './warm.js'

if (spawnSync('taskset', ['--version']).status !== 0 || availableParallelism() < 2) {
  process.stderr.write('bench:cluster needs two cores, and taskset (util-linux)\n')
  process.exit(1)
}
const words = process.argv.slice(2)
const wanted = (what: string) => words.length === 0 || words.some(word => what.includes(word))
process.on('exit', cleanUp)
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(1))

const table = new Table()
for (const rows of [thousand, most, growth, hop, warm]) for await (const row of rows(wanted)) table.show(row)
table.save()
if (words.length === 0) keep('bench:cluster', false, table.summary)
process.exit(0)
