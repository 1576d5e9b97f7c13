/** The supervisor of a child process that answers questions: it ends and restarts a child that does not answer. */
import t from 'tap'
import { Kept } from '../../cluster/host/kept.js'
import type { Exit } from '../../cluster/host/process.js'
import { TestClock } from './clock.js'

function rig() {
  const clock = new TestClock()
  /** For how long the asking process was suspended, in ms. */
  let slept = 0
  const told: string[] = []
  const asked: (() => void)[] = []
  let started = 0
  const kept = new Kept({
    clock: { now: () => clock.now() + slept, date: clock.date, after: (ms, call) => clock.after(ms, call) },
    random: () => 1,
    start() {
      let end!: (exit: Exit) => void
      const exited = new Promise<Exit>(resolve => {
        end = resolve
      })
      return {
        pid: ++started,
        exited,
        ask: () => new Promise(resolve => void asked.push(resolve)),
        kill: signal => end({ code: null, signal, said: `ended by ${signal}` }),
      }
    },
    exited: ({ said }, cause) => told.push(`${cause}: ${said}`),
    paused: wait_s => told.push(`pause ${wait_s}`),
    hung: silent_s => told.push(`hung ${silent_s}`),
  })
  kept.start()
  const pass = (seconds: number) => clock.pass(seconds * 1000)
  const sleep = (ms: number) => {
    slept += ms
  }
  return { sleep, kept, told, asked, pass, started: () => started }
}

t.test('a child that answers is left alone', async t => {
  const { told, asked, pass } = rig()
  for (let i = 0; i < 20; i++) {
    await pass(5)
    for (const answer of asked.splice(0)) answer()
  }
  t.same(told, [])
})

t.test('a child that lives and does not answer for 30 s is ended and started again', async t => {
  const { told, pass, started } = rig()
  await pass(34)
  t.same(told, [])
  await pass(1)
  t.same(told, ['hung 30', 'killed: ended by SIGKILL', 'pause 0.5'])
  await pass(1)
  t.equal(started(), 2)
})

t.test('time in which the asking process itself was suspended does not count', async t => {
  const { sleep, pass, told } = rig()
  for (let i = 0; i < 20; i++) {
    sleep(60_000)
    await pass(5)
  }
  t.same(told, [])
})

t.test('a child that is being stopped is not asked any more', async t => {
  const { kept, told, pass } = rig()
  void kept.stop(1000)
  await pass(60)
  t.same(told, ['stopped: ended by SIGTERM'])
  await kept.gone
})
