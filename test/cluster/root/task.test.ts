/** Tests how a task ends early. */
import t from 'tap'
import { plainRequest } from '../../../api/request.js'
import { Budget } from '../../../cluster/root/budget.js'
import { sampling } from '../../../cluster/root/settings.js'
import { Task } from '../../../cluster/root/task.js'
import { TestClock } from '../clock.js'

function newTask(): Task {
  const budget = new Budget()
  const user = { name: 'ann', uid: 1000, role: 'use' } as const
  const own = { id: '1', user, request: plainRequest([]), prompt: '', asked: {}, sampling: sampling(), worker: 'w' }
  const kept = { clock: new TestClock(), budget, spill: undefined, hold: budget.hold(user), bytes: 0 }
  return new Task({ ...own, ...kept, onEnd: () => undefined })
}

t.test('those that run a task hear once that it is to end, and why, unless they have lost interest', async t => {
  const task = newTask()
  const heard: string[] = []
  const { signal } = task
  task.onStop(({ message }) => heard.push(`first ${message}`))
  task.onStop(() => heard.push('second'))()
  task.starts('w', 'm')
  task.cancel()
  task.stop(new Error('later'))
  t.same(heard, ['first cancelled'])
  t.equal((signal.reason as Error).message, 'cancelled')
})

t.test('those that ask after it was told to end hear at once', async t => {
  const task = newTask()
  task.starts('w', 'm')
  task.cancel()
  const heard: string[] = []
  task.onStop(({ message }) => heard.push(message))
  t.same(heard, ['cancelled'])
  t.ok(task.signal.aborted)
  t.equal(task.stopped?.message, 'cancelled')
})
