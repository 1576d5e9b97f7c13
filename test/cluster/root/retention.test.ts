/** How a root keeps its ended tasks. */
import t, { type Test } from 'tap'
import { Budget } from '../../../cluster/root/budget.js'
import { KEPT_TASK_BYTES, KEPT_TASKS } from '../../../cluster/root/limits.js'
import { Retention } from '../../../cluster/root/retention.js'
import type { Task } from '../../../cluster/root/task.js'
import { EventLog } from '../../../fs/kit/event-log.js'
import { TestClock } from '../clock.js'

function rig(t: Test) {
  const clock = new TestClock()
  const forgotten: string[] = []
  let looks = 0
  const retention = new Retention({
    clock,
    budget: new Budget(),
    events: new EventLog(),
    forget(task) {
      forgotten.push(task.id)
      retention.delete(task)
    },
  })
  t.teardown(() => retention.close())
  let last = 0
  /** Ends a task that keeps so many bytes. The returned function changes that. */
  const end = (bytes: number) => {
    const kept = { bytes }
    retention.add({
      id: `${++last}`,
      endedAt: clock.now(),
      get kept() {
        looks++
        return kept.bytes
      },
    } as Task)
    return (less: number) => {
      kept.bytes = less
    }
  }
  return { retention, clock, forgotten, end, looks: () => looks }
}

t.test('when a new task comes, only the tasks that go are looked at', async t => {
  const { retention, forgotten, end, looks } = rig(t)
  for (let i = 0; i < KEPT_TASKS; i++) end(100)
  const before = looks()
  for (let i = 0; i < 10; i++) {
    end(100)
    retention.sweep()
  }
  t.same(
    forgotten,
    Array.from({ length: 10 }, (_, i) => `${i + 1}`),
  )
  t.ok(looks() - before <= 30, `${looks() - before} looks for 10 tasks`)
})

t.test('tasks whose texts have gone to the disk do not count against the memory', async t => {
  const { retention, forgotten, end } = rig(t)
  const half = KEPT_TASK_BYTES / 2
  for (let i = 0; i < 4; i++) end(half)(1)
  retention.sweep()
  t.same(forgotten, [])
  end(half)
  end(half)
  retention.sweep()
  t.same(forgotten, ['1', '2', '3', '4'], 'the small ones are older')
  end(1)
  retention.sweep()
  t.same(forgotten, ['1', '2', '3', '4', '5'])
})
