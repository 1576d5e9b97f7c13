/**
 * `npm run bench [-- WORD …]`: measures how fast llambo is, compared with the best program for each task. With words,
 * it runs only the rows whose names contain one of them. It prints a table, and writes all figures to
 * bench/results/TIME.json. Nothing here passes or fails.
 */

import { keep } from '../test/report.js'
import { overFuse } from './fuse.js'
import { growth, sessions } from './growth.js'
import { activeBesideIdle } from './idle.js'
import { echo, prompt } from './limbot.js'
import { idleConnection, idleServer, ready, version } from './process.js'
import { cleanUp } from './programs.js'
import { againstDiod } from './rows.js'
import { Table } from './table.js'
import { tokens } from './tokens.js'
import { typing } from './typing.js'

const words = process.argv.slice(2)
const wanted = (what: string) => words.length === 0 || words.some(word => what.includes(word))

process.on('exit', cleanUp)
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(1))

const table = new Table()
for (const rows of [againstDiod, tokens, growth, sessions, overFuse, typing])
  for await (const row of rows(wanted)) table.show(row)
for (const [what, run] of [
  ['llamboctl --version', version],
  ['up -d to ready', ready],
  ['idle connection', idleConnection],
  ['idle server', idleServer],
  ['limbot to its prompt', prompt],
  ['limbot, key echo', echo],
  ['active client beside idle connections', activeBesideIdle],
] as const)
  if (wanted(what)) table.show(await run())

table.save()
if (words.length === 0) keep('bench', false, table.summary)
process.exit(0)
