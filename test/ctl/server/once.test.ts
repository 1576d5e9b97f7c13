/** Tests the lock between processes of one user. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { alone } from '../../../ctl/server/once.js'

t.test('a second process waits until the first has released the lock, or is interrupted', async t => {
  const path = join(t.testdir(), 'lock')
  const done = await alone(path, new AbortController().signal)
  const stop = new AbortController()
  const interrupted = t.rejects(alone(path, stop.signal), { message: 'enough' })
  stop.abort(new Error('enough'))
  await interrupted
  let second = false
  const next = alone(path, new AbortController().signal).then(end => {
    second = true
    end()
  })
  await new Promise(resolve => setTimeout(resolve, 300))
  t.notOk(second)
  done()
  await next
})

t.test('the lock of a killed process, or a directory in its place, blocks no process', async t => {
  const path = join(t.testdir(), 'lock')
  // no process has this number (proc(5), pid_max)
  writeFileSync(path, '4194305 1 x\n')
  ;(await alone(path, new AbortController().signal))()
  mkdirSync(path)
  ;(await alone(path, new AbortController().signal))()
  t.pass('the lock is granted')
})
