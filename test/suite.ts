/**
 * Runs every test file, or the named ones, two at a time: this is what `npm test` runs. tap's own program would load
 * plugins into each file that none of them uses (typescript, mock), which costs 1.5 s of processor time a file. What a
 * file leaves behind, also one that passes, is ended and removed, and a line says what that was.
 */

import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { clean, folders } from './left.js'

const checkout = fileURLToPath(new URL('../..', import.meta.url))
/** Seconds that a file may take. The slowest takes 40 s on a machine with two processors that does nothing else. */
const TIMEOUT_S = 240

t.jobs = 2
const all = readdirSync(`${checkout}/dist/test`, { recursive: true, encoding: 'utf8' })
const files = all.filter(file => file.endsWith('.test.js')).map(file => `dist/test/${file}`)
const named = process.argv.slice(2)
const own = folders()
const ran = (named.length ? named : files.sort()).map(async (file, i) => {
  const dir = own.of(i)
  await t.spawn(process.execPath, ['--enable-source-maps', '--import=./test/plain-children.mjs', file], {
    name: file,
    cwd: checkout,
    buffered: true,
    // each file reports to its parent, and ends itself with the name of what it waits for
    env: { ...process.env, TAP_TIMEOUT: `${TIMEOUT_S}`, TMPDIR: dir, TEST_FOLDER: dir },
  })
  const left = await clean(dir)
  if (left) process.stderr.write(`${file} has left behind: ${left}\n`)
})
void Promise.all(ran).finally(() => own.remove())
