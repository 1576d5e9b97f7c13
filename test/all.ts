/**
 * `npm run test:all [-- NAME …]`: runs `npm test` and every long suite, one after the other, unattended; with names,
 * only those. The output of each goes to a file. It ends with a summary, a line for each, and exits with 1 if anything
 * failed.
 */

import { spawn } from 'node:child_process'
import { closeSync, mkdtempSync, openSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { keep, last, suites } from './report.js'

const checkout = fileURLToPath(new URL('../..', import.meta.url))
/** A suite that takes longer than this, in ms, hangs. The longest takes some 40 minutes on two cores. */
const LIMIT_MS = 3 * 3_600_000

const all = ['test', ...Object.keys(suites)]
const names = process.argv.slice(2)
const unknown = names.filter(name => !all.includes(name))
if (unknown.length) {
  process.stderr.write(`unknown suite ${unknown.join(', ')}: there are ${all.join(', ')}\n`)
  process.exit(2)
}

/** Runs an npm script. @returns its exit code, or the signal that ended it */
function run(suite: string, log: string): Promise<string> {
  const out = openSync(log, 'w')
  // in a process group of its own: a suite that hangs is killed with all that it started
  const child = spawn('npm', ['run', suite], { cwd: checkout, stdio: ['ignore', out, out], detached: true })
  closeSync(out)
  const late = setTimeout(() => process.kill(-child.pid!, 'SIGKILL'), LIMIT_MS)
  return new Promise(resolve => {
    child.once('error', error => resolve(error.message))
    child.once('exit', (code, signal) => resolve(`${code ?? signal}`))
  }).then(how => {
    clearTimeout(late)
    return how as string
  })
}

const logs = mkdtempSync(join(tmpdir(), 'llambo-all-'))
const lines: string[] = []
let failed = 0
for (const suite of all.filter(name => names.length === 0 || names.includes(name))) {
  const began = new Date()
  const log = join(logs, `${suite.replace(':', '-')}.log`)
  process.stdout.write(`${began.toISOString()} ${suite}: ${log}\n`)
  const how = await run(suite, log)
  const report = last(suite)
  const fresh = report && report.date >= began.toISOString() ? report : undefined
  // a suite that broke off has left no report, and its last one is no longer true
  if (!fresh && suite !== 'test') keep(suite, true, `it ended with ${how} and no report`)
  const red = how !== '0' || (suite !== 'test' && (fresh?.red ?? true))
  if (red) failed++
  const minutes = ((Date.now() - began.getTime()) / 60_000).toFixed(1)
  lines.push(
    `${red ? 'failed' : 'ok'}`.padEnd(7) +
      `${suite.padEnd(14)} ${minutes.padStart(6)} min  ${fresh?.summary ?? `exit ${how}`}`,
  )
}
process.stdout.write(`\n${lines.join('\n')}\n${lines.length - failed} ok, ${failed} failed\n`)
process.exit(failed ? 1 : 0)
