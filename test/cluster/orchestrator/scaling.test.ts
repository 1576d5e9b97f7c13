/** When the scaler adds and removes workers, by itself and in replays of a whole load. */
import { readFileSync } from 'node:fs'
import t from 'tap'
import { fail } from '../../../api/errors.js'
import { picture } from '../../../bench/scaling.js'
import { type Scalable, Scaler, scalingLines, scalingVerbs } from '../../../cluster/orchestrator/scaling/scaler.js'
import { words } from '../../../fs/base/quote.js'
import type { Context } from '../../../fs/file.js'
import { checkout } from '../../ctl/fixture.js'
import { settled, TestClock } from '../clock.js'
import { example, replay } from './scaling-example.js'

/** A scaler over a cluster whose numbers a test sets. `done` records what the scaler did. */
function rig(on = true) {
  const clock = new TestClock()
  const state = { used: 0.5 as number | undefined, count: 4, starting: 0, wanted: undefined as string | undefined }
  const classes = ['default', 'tiny', 'large']
  const done: string[] = []
  const events: Record<string, unknown>[] = []
  const of: Scalable = {
    utilisation: () => state.used,
    count: () => state.count,
    starting: () => state.starting,
    classes: () => classes,
    wanted: () => state.wanted,
    async spawn(kind, n) {
      done.push(`spawn ${kind} ${n}`)
      state.count += n
    },
    async retire(n) {
      done.push(`retire ${n}`)
      state.count -= n
    },
    told: (kind, attrs) => events.push({ kind, ...attrs }),
  }
  const scaler = new Scaler(clock, of)
  const verbs = scalingVerbs(scaler)
  const say = (text: string) => {
    const effects = words(text).map(([name = '', ...args]) => verbs[name]!.check(args, {} as Context))
    for (const effect of effects) effect()
  }
  if (on) say('autoscale on')
  events.length = 0
  return { clock, state, classes, done, events, of, scaler, say }
}

const S = 1000

t.test('above `up` workers are added, once two checks agree', async t => {
  const { clock, state, done, events } = rig()
  state.used = 0.9
  await clock.pass(3 * S)
  t.same(done, [], 'a single check may have met a burst')
  state.used = 0.5
  await clock.pass(3 * S)
  state.used = 0.9
  await clock.pass(3 * S)
  t.same(done, [])
  await clock.pass(3 * S)
  t.same(done, ['spawn default 2'])
  t.same(events, [{ kind: 'scale-up', workers: 4, add: 2, class: 'default', why: 'utilisation 0.9 over 0.8' }])
})

t.test('below `down` workers are removed; between `up` and `down` nothing changes', async t => {
  const { clock, state, done, events } = rig()
  await clock.pass(600 * S)
  for (const used of [0.2, 0.8]) {
    state.used = used
    await clock.pass(600 * S)
  }
  t.same(done, [])
  state.used = 0.1
  await clock.pass(6 * S)
  t.same(done, ['retire 2'])
  t.same(events, [{ kind: 'scale-down', workers: 4, remove: 2, why: 'utilisation 0.1 under 0.2' }])
})

t.test('within the cooldown there is no second change', async t => {
  const { clock, state, done } = rig()
  state.used = 1
  await clock.pass(6 * S)
  t.equal(done.length, 1)
  await clock.pass(29 * S)
  t.equal(done.length, 1)
  await clock.pass(1 * S)
  t.same(done, ['spawn default 2', 'spawn default 2'])
  state.used = 0
  await clock.pass(29 * S)
  t.equal(done.length, 2, 'nor in the other direction')
})

t.test('the number of workers stays between min and max, also when these are changed', async t => {
  const { clock, state, done, events, say } = rig()
  say('scale min 3 max 5 cooldown 0')
  state.used = 1
  await clock.pass(60 * S)
  t.same(done.splice(0), ['spawn default 1'])
  state.used = 0
  await clock.pass(60 * S)
  t.same(done.splice(0), ['retire 2'])
  state.used = 0.5
  say('scale max 20 min 9')
  await clock.pass(60 * S)
  t.same(done.splice(0), ['spawn default 6'])
  t.match(events.at(-1), { why: '3 workers, min 9' })
  say('scale min 1 max 2')
  await clock.pass(60 * S)
  t.same(done.splice(0), ['retire 7'])
  t.match(events.at(-1), { why: '9 workers, max 2' })
})

t.test('workers that are starting count as if they took their share already', async t => {
  const { clock, state, done, say } = rig()
  say('scale cooldown 0 max 100')
  state.used = 0.9
  state.count = 6
  state.starting = 2
  await clock.pass(60 * S)
  t.same(done, [], 'the six will be in use at 0.6')
  state.starting = 0
  await clock.pass(6 * S)
  t.same(done, ['spawn default 2'])
})

t.test('enough workers stay for the load', async t => {
  const { clock, state, done, say } = rig()
  say('scale step 100 max 100 cooldown 1000')
  state.count = 20
  state.used = 0.15
  await clock.pass(6 * S)
  t.same(done, ['retire 16'], 'four are in use at 0.75')
})

t.test('without a ready worker nothing changes', async t => {
  const { clock, state, done } = rig()
  state.used = undefined
  await clock.pass(60 * S)
  t.same(done, [])
})

t.test('with autoscale off nothing changes', async t => {
  const { clock, state, done, say } = rig(false)
  state.used = 1
  await clock.pass(60 * S)
  t.same(done, [])
  say('autoscale on')
  await clock.pass(6 * S)
  t.equal(done.length, 1)
  say('autoscale off')
  await clock.pass(600 * S)
  t.equal(done.length, 1)
})

t.test('the class that is spawned is the one that is set, else the one in demand, else the first', async t => {
  const { clock, state, done, say } = rig()
  say('scale cooldown 0 max 100')
  state.used = 1
  await clock.pass(6 * S)
  state.wanted = 'large'
  await clock.pass(6 * S)
  say('scale class tiny')
  await clock.pass(6 * S)
  say("scale class ''")
  await clock.pass(6 * S)
  t.same(done, ['spawn default 2', 'spawn large 2', 'spawn tiny 2', 'spawn large 2'])
})

t.test('a spawn that fails is logged with its reason, and tried again later with fewer workers', async t => {
  const { clock, state, done, events, of, say } = rig()
  say('scale step 4 max 100')
  const error = 'not enough memory for default: needs 4096 has 3000'
  const { spawn } = of
  of.spawn = async (_kind, n) => {
    done.push(`tried ${n}`)
    throw fail('noMemory', 'default: needs 4096 has 3000')
  }
  state.used = 1
  await clock.pass(6 * S)
  t.same(done.splice(0), ['tried 4'])
  t.same(events, [{ kind: 'scale-failed', add: 4, class: 'default', error, wait_s: 30 }])
  await clock.pass(29 * S)
  t.same(done, [])
  await clock.pass(1 * S)
  t.same(done.splice(0), ['tried 2'])
  await clock.pass(59 * S)
  t.same(done, [])
  await clock.pass(2 * S)
  t.same(done.splice(0), ['tried 1'])
  for (let i = 0; i < 10; i++) await clock.pass(303 * S)
  t.same(
    events.map(({ wait_s }) => wait_s),
    [30, 60, 120, 240, ...Array(9).fill(300)],
  )
  done.length = 0
  of.spawn = spawn
  await clock.pass(303 * S)
  await clock.pass(33 * S)
  t.same(done.slice(0, 2), ['spawn default 1', 'spawn default 4'], 'after a success it goes on as before')
})

t.test('the lack of a host that could start a worker is logged', async t => {
  const { clock, state, events, classes } = rig()
  classes.length = 0
  state.used = 1
  await clock.pass(6 * S)
  t.match(events, [{ kind: 'scale-failed', error: 'no host has joined; add one with llamboctl join' }])
})

t.test('a slow change is the only one until it ends, and its cooldown begins then', async t => {
  const { clock, state, done, of } = rig()
  let finish!: () => void
  of.retire = n => {
    done.push(`retire ${n}`)
    return new Promise(resolve => {
      finish = resolve
    })
  }
  state.used = 0
  await clock.pass(600 * S)
  t.same(done, ['retire 2'])
  finish()
  await settled()
  await clock.pass(30 * S - 1)
  t.equal(done.length, 1)
  await clock.pass(3 * S)
  t.equal(done.length, 2)
})

t.test('a failed retirement is logged, and the scaling goes on', async t => {
  const { clock, state, done, of, events } = rig()
  of.retire = async () => {
    throw fail('hungUp')
  }
  state.used = 0
  await clock.pass(6 * S)
  t.match(events, [{ kind: 'scale-down' }, { kind: 'scale-failed', remove: 2, error: 'i/o on hungup channel' }])
  state.used = 1
  await clock.pass(36 * S)
  t.same(done, ['spawn default 2'])
})

t.test('the settings read back as the commands that restore them', async t => {
  const { scaler, say } = rig(false)
  const initial = ['scale min 1 max 8 up 0.8 down 0.2 step 2 cooldown 30', 'autoscale off']
  t.same(scalingLines(scaler), initial)
  say('scale max 40 min 4 up 0.75 down 0.1\nscale step 5 shrink 2 cooldown 0.5 class large\nautoscale on')
  const lines = ['scale min 4 max 40 up 0.75 down 0.1 step 5 cooldown 0.5 shrink 2 class large', 'autoscale on']
  t.same(scalingLines(scaler), lines)
  const other = rig(false)
  other.say(lines.join('\n'))
  t.same(scalingLines(other.scaler), lines)
  other.say(initial.join('\n'))
  other.say("scale shrink 0 class ''")
  t.same(scalingLines(other.scaler), initial)
})

t.test('invalid settings are refused, and change nothing', async t => {
  const { scaler, say } = rig(false)
  const before = scalingLines(scaler)
  const rows: readonly (readonly [string, string])[] = [
    ['scale min 9', 'scale: min 9 is above max 8'],
    ['scale max 4 min 5', 'scale: min 5 is above max 4'],
    ['scale down 0.8', 'scale: down 0.8 is not below up 0.8'],
    ['scale up 0.1', 'scale: down 0.2 is not below up 0.1'],
    ['scale up 0.3 down 0.5', 'scale: down 0.5 is not below up 0.3'],
    ['scale min 0', 'scale min: expected a whole number from 1 to 10000, not "0"'],
    ['scale max 1.5', 'scale max: expected a whole number from 1 to 10000, not "1.5"'],
    ['scale up 2', 'scale up: expected a number from 0.01 to 1, not "2"'],
    ['scale down -1', 'scale down: expected a number from 0 to 0.99, not "-1"'],
    ['scale step many', 'scale step: expected a whole number from 1 to 10000, not "many"'],
    ['scale cooldown NaN', 'scale cooldown: expected a number from 0 to 86400, not "NaN"'],
    ['scale', 'scale: expected pairs of a name and a value; names: min max up down step shrink cooldown class'],
    ['scale min', 'scale: expected pairs of a name and a value; names: min max up down step shrink cooldown class'],
    ['scale most 3', 'scale: expected one of min max up down step shrink cooldown class, not "most"'],
    ['scale class huge', 'no class "huge"; classes: default tiny large'],
    ['autoscale maybe', 'autoscale: expected one of on off, not "maybe"'],
    ['autoscale', 'expected one argument (on|off), got 0'],
    ['scale step 3\nscale min 9', 'scale: min 9 is above max 8'],
  ]
  for (const [line, message] of rows)
    t.throws(() => say(line), { message: `bad argument: ${message}`, errno: 22 }, line)
  t.same(scalingLines(scaler), before)
})

t.test('the example of docs/cluster.md: 100 workers, 500 more over 80 %, 200 fewer under 20 %', async t => {
  const { moments, changes } = await example()
  t.match(changes, [
    { kind: 'scale-up', attrs: { workers: 100, add: 500, class: 'tiny' } },
    { kind: 'scale-down', attrs: { workers: 600, remove: 200 } },
  ])
  t.equal(changes.length, 2)
  const at = (time: number) => moments[time]!
  t.match(at(0), { ready: 100, utilisation: 0.3 })
  t.match(at(140), { ready: 600, utilisation: 0.5 })
  t.match(at(300), { ready: 400, utilisation: 0.4 })
  const [up, down] = changes.map(({ time }) => time) as [number, number]
  for (const time of [up - 3, up]) t.ok(at(time).utilisation > 0.8, `over 0.8 at ${time} s`)
  for (const time of [down - 3, down]) t.ok(at(time).utilisation < 0.2, `under 0.2 at ${time} s`)
})

t.test('docs/scaling.svg shows this example', async t => {
  t.equal(
    readFileSync(`${checkout}/docs/scaling.svg`, 'utf8'),
    picture(await example()),
    'node dist/bench/scaling.js draws it',
  )
})

t.test('over a day of rising and falling demand the scaler follows it, and does not oscillate', async t => {
  const day = (time: number) => 40 - 36 * Math.cos((time / 14_400) * 2 * Math.PI)
  const { moments, changes } = await replay({ min: 2, max: 200, step: 4 }, 10, day, 14_400)
  const kinds = changes.map(({ kind }) => kind)
  const turns = kinds.filter((kind, i) => i > 0 && kind !== kinds[i - 1]).length
  t.ok(turns <= 2, `${turns} turns in ${kinds.length} changes`)
  const late = moments.slice(600)
  t.ok(
    late.every(({ utilisation }) => utilisation < 0.95),
    'the cluster is never full',
  )
  t.ok(moments.every(({ ready }) => ready >= 2 && ready <= 200))
})
