/** Waiting for work that does not observe a signal. */
import { setTimeout as later } from 'node:timers/promises'
import t from 'tap'
import { interruptible } from '../../fs/base/interruptible.js'

t.test('work that fails after the abort is not an unhandled rejection', async t => {
  const lost: unknown[] = []
  const note = (error: unknown) => lost.push(error)
  process.on('unhandledRejection', note)
  t.teardown(() => process.off('unhandledRejection', note))
  const work = later(5).then(() => {
    throw new Error('late')
  })
  await t.rejects(interruptible(work, AbortSignal.abort(new Error('stop'))), { message: 'stop' })
  await later(20)
  t.same(lost, [])
})
