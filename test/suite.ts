/**
 * Every test file, two at a time: `npm test` has tap run this one. Given the files themselves, tap loads plugins into each that none of them
 * uses (typescript, mock), which costs 1.5 s of processor time a file.
 */
import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import t from 'tap'

const checkout = fileURLToPath(new URL('../..', import.meta.url))
/** Seconds that a file may take; the slowest takes 40 s on a machine with two processors that does nothing else. */
const TIMEOUT_S = 240

t.jobs = 2
const files = readdirSync(`${checkout}/dist/test`, { recursive: true, encoding: 'utf8' })
for (const name of files.filter(file => file.endsWith('.test.js')).sort()) {
  const file = `dist/test/${name}`
  t.spawn(process.execPath, ['--enable-source-maps', '--import=./test/plain-children.mjs', file], {
    name: file,
    cwd: checkout,
    buffered: true,
    // each file tells its parent, and ends itself with the name of what it waits for
    env: { ...process.env, TAP_TIMEOUT: `${TIMEOUT_S}` },
  })
}
