/**
 * Coverage-guided fuzzing: `npm run test:fuzz [-- --seconds N --target NAME --seed S --tidy]`. It runs for the given
 * time and prints its seed and what it did. It fails if an input brought out a fault; the input is kept under
 * crashers/.
 */

import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { keep } from '../report.js'
import { Coverage } from './coverage.js'
import { Engine } from './engine.js'
import { folder } from './store.js'
import { targets } from './targets.js'
import { Watchdog } from './watchdog.js'

const HANG_SECONDS = 10

// most errors here are answers, and their stacks would be most of the work
Error.stackTraceLimit = 5

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    target: { type: 'string', multiple: true },
    seed: { type: 'string' },
    tidy: { type: 'boolean', default: false },
  },
})
const seed = values.seed === undefined ? (Date.now() ^ process.pid) >>> 0 : Number(values.seed)
const chosen = targets.filter(({ name }) => values.target?.includes(name) ?? true)
if (chosen.length === 0) {
  console.error(`no target ${values.target}: ${targets.map(({ name }) => name).join(' ')}`)
  process.exit(1)
}
const seconds = Number(values.seconds) / chosen.length
console.log(`seed ${seed}`)

let crashers = 0
let executions = 0
for (const target of chosen) {
  mkdirSync(folder('crashers', target.name), { recursive: true })
  const watchdog = new Watchdog(join(folder('crashers', target.name), 'hang'), HANG_SECONDS)
  const coverage = new Coverage(url => /\/dist\/(fs|api|mnt|cluster|cli|dish|limbot)\//.test(url))
  const engine = new Engine(target, seed, coverage, watchdog)
  const done = await engine.run(seconds, values.tidy)
  executions += done.executions
  crashers += done.crashers.length
  const rate = Math.round(done.executions / done.seconds)
  console.log(
    `${target.name}: ${done.executions} executions, ${rate}/s, ${coverage.functions} functions, corpus ${done.corpus}, ${done.crashers.length} crashers`,
  )
  for (const { file, error } of done.crashers) {
    console.log(`  ${file}`)
    console.log(error)
    process.exitCode = 1
  }
  coverage.close()
  await watchdog.stop()
}
if (!values.target)
  keep('test:fuzz', crashers > 0, `${executions} executions in ${values.seconds} s, seed ${seed}, ${crashers} crashers`)
process.exit()
