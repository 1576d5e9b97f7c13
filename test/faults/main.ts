/**
 * `npm run test:faults [-- NAME …]`: injects faults into real processes; with names, only those scenarios. It prints a
 * line for each, `ok|failed|skipped NAME figures`, and the total at the end. It exits with 1 if anything failed.
 */

import { keep } from '../report.js'
import { crowd } from './crowd.js'
import { cut } from './cut.js'
import { deaths } from './deaths.js'
import { disk } from './disk.js'
import { drain } from './drain.js'
import { hosts } from './hosts.js'
import { hung } from './hung.js'
import { input } from './input.js'
import { kill } from './kill.js'
import { killBundled } from './kill-model.js'
import { memory } from './memory.js'
import { nested } from './nested.js'
import { oom } from './oom.js'
import { queue } from './queue.js'
import { restart } from './restart.js'
import { rogue } from './rogue.js'
import { type Scenario, Stage, seconds, within } from './stage.js'
import { stop } from './stop.js'

const scenarios: readonly Scenario[] = [
  kill,
  killBundled,
  stop,
  restart,
  crowd,
  cut,
  disk,
  deaths,
  hung,
  oom,
  drain,
  queue,
  nested,
  input,
  hosts,
  rogue,
  memory,
]

/** A scenario that takes longer hangs. */
const LIMIT_MS = 900_000

const names = process.argv.slice(2)
const unknown = names.filter(name => !scenarios.some(scenario => scenario.name === name))
if (unknown.length) {
  process.stderr.write(`unknown scenario ${unknown.join(', ')}: there are ${scenarios.map(s => s.name).join(', ')}\n`)
  process.exit(2)
}

// a late error on a connection that one scenario has cut must not end the others
process.on('unhandledRejection', error => process.stderr.write(`unhandled: ${(error as Error)?.stack ?? error}\n`))

const count = { ok: 0, failed: 0, skipped: 0 }
const report = (how: keyof typeof count, name: string, what: string) => {
  count[how]++
  process.stdout.write(`${how.padEnd(7)} ${name.padEnd(10)} ${what}\n`)
}
for (const scenario of scenarios.filter(({ name }) => names.length === 0 || names.includes(name))) {
  const { name } = scenario
  const missing = await scenario.lacks?.()
  if (missing) {
    report('skipped', name, missing)
    continue
  }
  const stage = new Stage()
  const began = Date.now()
  try {
    const figures = await within(name, LIMIT_MS, scenario.run(stage))
    report('ok', name, `${figures} (${seconds(Date.now() - began)})`)
  } catch (error) {
    report('failed', name, (error as Error).message)
    process.stderr.write(`${(error as Error).stack}\n`)
  }
  await stage.end()
}
const summary = `${count.ok} ok, ${count.failed} failed, ${count.skipped} skipped`
process.stdout.write(`${summary}\n`)
if (names.length === 0) keep('test:faults', count.failed > 0, summary)
process.exit(count.failed ? 1 : 0)
