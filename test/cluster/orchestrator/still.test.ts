/** Workers that stand still in the middle of an answer, and workers that are only slow. */
import t from 'tap'
import type { Engine } from '../../../cluster/worker/engine/engine.js'
import { TestClock } from '../clock.js'
import { events, type Rig, rig, until } from './fixture.js'

/** An echo engine whose tokens come one at a time, as a test lets them. */
class Steps {
  /** Tokens that have been taken so far. */
  tokens = 0
  /** Lets the next token come, or the end after the last one. */
  next: () => void = () => undefined

  readonly engine = (_: string, echo: Engine): Engine => {
    const steps = this
    return {
      ...echo,
      async *generate(request, signal) {
        for await (const chunk of echo.generate(request, signal)) {
          yield chunk
          if (chunk.event !== 'token' || request.messages?.[0]?.content === 'ping') continue
          steps.tokens++
          await new Promise<void>(resolve => {
            steps.next = resolve
            signal.addEventListener('abort', () => resolve(), { once: true })
          })
        }
      },
    }
  }

  /** Lets the next token come after so long. */
  async step(clock: TestClock, ms: number): Promise<void> {
    const before = this.tokens
    await clock.pass(ms)
    this.next()
    await until(() => this.tokens > before)
    await clock.pass(0)
  }
}

/** Asks for six tokens, and lets the first ones come at this pace. */
async function asked(of: Rig, steps: Steps, clock: TestClock, pace_ms: number) {
  const ann = await of.as('ann')
  let answer = ''
  const done = ann.ask('data', 'a b x6').then(text => {
    answer = text
  })
  done.catch(() => undefined)
  await until(() => steps.tokens === 1)
  await clock.pass(0)
  for (let i = 0; i < 3; i++) await steps.step(clock, pace_ms)
  return { ann, done, answer: () => answer }
}

const whole = '0:a 1:b 2:a 3:b 4:a 5:b\n'
const suspects = (of: Rig) =>
  events(of, 'worker-suspect').then(all => all.map(({ worker, error }) => `${worker} ${error}`))

t.test('an answer whose worker stands still goes on at another within 5 s; the worker comes back', async t => {
  const clock = new TestClock()
  const steps = new Steps()
  const cluster = await rig(t, [{ engine: steps.engine, prefer: 1 }, {}], { clock })
  const { ann, done, answer } = await asked(cluster, steps, clock, 50)
  let ms = 0
  await until(async () => {
    await clock.pass(500)
    ms += 500
    await cluster.status()
    return answer() !== '' || ms > 20_000
  })
  await done
  t.equal(answer(), whole)
  t.ok(ms <= 6_000, `${ms} ms`)
  t.same(await suspects(cluster), ['worker-0001 it stands still in the middle of its answers'])
  t.match(await ann.read(`task/1/trace`), /lost .*worker-0001 stands still[\s\S]*routed .*worker=worker-0002/)
  t.same(await events(cluster, 'worker-hung'), [], 'its process is not ended')
  await until(async () => {
    await clock.pass(500)
    return (await cluster.status()).every(({ word, attrs }) => word !== 'worker' || attrs.state === 'idle')
  })
})

t.test('a worker that slows down tenfold keeps its answer', async t => {
  const clock = new TestClock()
  const steps = new Steps()
  const cluster = await rig(t, [{ engine: steps.engine, prefer: 1 }, {}], { clock })
  const { done, answer } = await asked(cluster, steps, clock, 500)
  await steps.step(clock, 5_000)
  await steps.step(clock, 10_000)
  await clock.pass(1_000)
  steps.next()
  await done
  t.equal(answer(), whole)
  t.same(await suspects(cluster), [])
})

t.test('where no other worker could go on, the answer waits for its own', async t => {
  const clock = new TestClock()
  const steps = new Steps()
  const cluster = await rig(t, [{ engine: steps.engine }], { clock })
  const { done, answer } = await asked(cluster, steps, clock, 50)
  await clock.pass(8_000)
  t.equal((await suspects(cluster)).length, 1, 'new prompts do not go to it')
  for (let i = 0; i < 2; i++) await steps.step(clock, 50)
  steps.next()
  await done
  t.equal(answer(), whole)
})
