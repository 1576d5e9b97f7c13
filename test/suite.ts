/**
 * Runs every test file, or the named ones, two at a time: this is what `npm test` runs. tap's own program would load
 * plugins into each file that none of them uses (typescript, mock), which costs 1.5 s of processor time a file.
 */

import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import t from 'tap'

const checkout = fileURLToPath(new URL('../..', import.meta.url))
/** Seconds that a file may take. The slowest takes 40 s on a machine with two processors that does nothing else. */
const TIMEOUT_S = 240

t.jobs = 2
const all = readdirSync(`${checkout}/dist/test`, { recursive: true, encoding: 'utf8' })
const files = all.filter(file => file.endsWith('.test.js')).map(file => `dist/test/${file}`)
const named = process.argv.slice(2)
for (const file of named.length ? named : files.sort())
  t.spawn(process.execPath, ['--enable-source-maps', '--import=./test/plain-children.mjs', file], {
    name: file,
    cwd: checkout,
    buffered: true,
    // each file reports to its parent, and ends itself with the name of what it waits for
    env: { ...process.env, TAP_TIMEOUT: `${TIMEOUT_S}` },
  })
