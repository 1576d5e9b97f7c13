/** Tests of the root of a worker: `ctl`, `status`, `events`, `task/` and loading. */
import t from 'tap'
import { fail } from '../../../api/errors.js'
import { createEchoEngine } from '../../../cluster/worker/engine/echo.js'
import { listing } from '../../../cluster/worker/listing.js'
import type { ModelEntry } from '../../../cluster/worker/models.js'
import { parseRecords } from '../../../fs/base/quote.js'
import { settled, TestClock } from '../clock.js'
import { rig } from './fixture.js'

const attrs = (status: string) => parseRecords(status)[0]!.attrs

t.test('a disk that hangs does not delay the status, and readers share one listing', async t => {
  const clock = new TestClock()
  let asked = 0
  let answer!: (models: ModelEntry[]) => void
  const list = () => {
    asked++
    return new Promise<ModelEntry[]>(resolve => {
      answer = resolve
    })
  }
  const models = listing({ list }, clock)
  const first = models()
  await clock.pass(5000)
  answer([{ name: 'a', size: 1, path: '/a.gguf' }])
  t.match(await first, [{ name: 'a' }])
  const [second, third] = [models(), models()]
  await clock.pass(1000)
  t.match(await second, [{ name: 'a' }], 'the previous list')
  await third
  t.equal(asked, 2)
  answer([{ name: 'b', size: 1, path: '/b.gguf' }])
  await settled()
  const fourth = models()
  answer([])
  t.same(await fourth, [])
})

t.test('the root has the files of docs/files.md', async t => {
  const root = await (await rig(t)).as('root')
  const worker = [
    'ctl',
    'data',
    'generate',
    'embed',
    'status',
    'events',
    'error',
    'metrics',
    'models',
    'session',
    'task',
    'namespace',
  ]
  t.same(await root.names(''), worker)
})

t.test('ctl checks all lines of a write before the first takes effect', async t => {
  const root = await (await rig(t)).as('root')
  const before = await root.read('ctl')
  await t.rejects(root.write('ctl', 'temperature 0.5\nfrobnicate\n'), {
    message: /^unknown command: frobnicate; commands: load/,
    errno: 22,
  })
  await t.rejects(root.write('ctl', 'temperature 0.5\nmax_tokens 0\n'), {
    message: /max_tokens: expected a whole number from 1 to/,
  })
  await t.rejects(root.write('ctl', "system 'open"), { message: /quote is not closed/ })
  t.equal(await root.read('ctl'), before)
  t.match(await root.read('error'), /quote is not closed/)
})

t.test('only the owner and admins may use ctl', async t => {
  const ann = await (await rig(t)).as('ann')
  await t.rejects(ann.read('ctl'), { message: 'permission denied', errno: 13 })
  await t.rejects(ann.write('ctl', 'shutdown'), { message: 'permission denied' })
})

t.test('a plain data uses the settings of ctl, which read back as the commands that set them', async t => {
  const root = await (await rig(t)).as('root')
  await root.write('ctl', "max_tokens 2\nsystem 'it''s\nlong'\n")
  t.equal(await root.ask('data', 'w x9'), '0:w 1:w\n')
  const saved = await root.read('ctl')
  t.match(saved, /max_tokens 2/)
  await root.write('ctl', 'max_tokens\nsystem none\n')
  await root.write('ctl', saved)
  t.equal(await root.read('ctl'), saved)
})

t.test('status says what the worker is and does', async t => {
  const llambo = await rig(t, () => createEchoEngine({ rate: 50, slots: 2 }))
  const root = await llambo.as('root')
  t.match(attrs(await root.read('status')), {
    name: 'worker-0001',
    kind: 'worker',
    state: 'idle',
    slots: '2',
    active: '0',
  })
  const running = [root.ask('data', 'w x10'), root.ask('data', 'w x10'), root.ask('data', 'w x10')]
  await new Promise(resolve => setTimeout(resolve, 50))
  t.match(attrs(await root.read('status')), { state: 'busy', active: '2', queue: '1', util: '1' })
  await Promise.all(running)
  t.match(parseRecords(await root.read('status'))[1], {
    word: 'model',
    attrs: { name: 'echo', loaded: 'yes', digest: 'echo:1' },
  })
  const metrics = await root.read('metrics')
  t.match(metrics, /^llambo_requests_total\{state="done"\} 3$/m)
  t.match(metrics, /^llambo_completion_tokens_total 30$/m)
  t.match(metrics, /^process_resident_memory_bytes [1-9]\d+$/m)
  // https://prometheus.io/docs/instrumenting/exposition_formats/
  for (const line of metrics.split('\n').slice(0, -1))
    t.match(line, /^(# (HELP \w+ .*|TYPE \w+ (counter|gauge|histogram))|\w+(\{\w+="[^"\\]*"\})? -?[\d.e+-]+)$/)
  const buckets = [...metrics.matchAll(/_seconds_bucket\{le="(.*)"\} (\d+)$/gm)].map(([, le, count]) => [
    le,
    Number(count),
  ])
  t.same(buckets.at(-1), ['+Inf', 3])
  t.same(
    buckets,
    [...buckets].sort(([, a], [, b]) => Number(a) - Number(b)),
    'each bucket includes those below it',
  )
  t.match(metrics, /_seconds_sum \d+\.\d+\n\w+_seconds_count 3$/m)
})

t.test('a draining worker refuses new prompts and finishes the running ones', async t => {
  const root = await (await rig(t, () => createEchoEngine({ rate: 100 }))).as('root')
  const running = root.ask('data', 'w x10')
  await new Promise(resolve => setTimeout(resolve, 30))
  await root.write('ctl', 'drain')
  await t.rejects(root.write('data', 'more'), { message: /^shutting down/, errno: 108 })
  t.equal((await running).split(' ').length, 10)
  await root.write('ctl', 'resume')
  t.equal(await root.ask('data', 'more'), '0:more\n')
})

t.test('a load that fails changes nothing, and its write fails with the reason', async t => {
  const llambo = await rig(t, model => {
    if (model === 'bad') throw fail('badModel', 'tensor 3 ends past the end of the file')
    return createEchoEngine({})
  })
  const root = await llambo.as('root')
  await t.rejects(root.write('ctl', 'load bad'), {
    message: 'model file is damaged: tensor 3 ends past the end of the file',
    errno: 74,
  })
  t.equal(await root.ask('data', 'alive'), '0:alive\n')
})

t.test('a model is replaced while its exchanges run', async t => {
  const llambo = await rig(t, (_m, s) => createEchoEngine({ rate: 100, slots: s.slots }))
  const root = await llambo.as('root')
  const running = root.ask('data', 'w x20')
  await new Promise(resolve => setTimeout(resolve, 50))
  await root.write('ctl', 'slots 3')
  t.equal((await running).trim().split(' ').length, 20)
  t.equal(attrs(await root.read('status')).slots, '3')
})

t.test('without a model a prompt fails with the remedy, and during a load it waits', async t => {
  let ready: (() => void) | undefined
  const llambo = await rig(
    t,
    async () => {
      await new Promise<void>(resolve => {
        ready = resolve
      })
      return createEchoEngine({})
    },
    '',
  )
  const root = await llambo.as('root')
  await t.rejects(root.write('data', 'x'), { message: /^no model is loaded: write 'load MODEL' to ctl/, errno: 6 })
  const loading = root.write('ctl', 'load echo')
  while (!ready) await new Promise(resolve => setTimeout(resolve, 5))
  t.match(attrs(await root.read('status')), { state: 'loading', loading: 'echo' })
  const answer = root.ask('data', 'patience')
  ready()
  await loading
  t.equal(await answer, '0:patience\n')
})

t.test('events are numbered', async t => {
  const root = await (await rig(t)).as('root')
  const fid = await root.open('event', 0)
  const begin = new TextDecoder().decode(await fid.read(0, 8192))
  t.match(begin, /^seq=1 time=\S+ kind=/)
  const next = fid.read(begin.length, 8192)
  await root.write('data', 'x')
  t.match(new TextDecoder().decode(await next), /kind=task-queued task=1 user=root/)
  await fid.clunk()
})

t.test('a task is cancelled by its ctl or by rmdir, and rm -r works on it', async t => {
  const root = await (await rig(t, () => createEchoEngine({ rate: 20 }))).as('root')
  await root.write('data', 'w x1000')
  await root.write('task/1/ctl', 'cancel')
  t.match(await root.read('task/1/status'), /state=cancelled/)
  await root.write('data', 'w x1000')
  await (await root.root.walk(['task', '2', 'status'])).remove()
  await (await root.root.walk(['task', '2'])).remove()
  t.same(await root.names('task'), ['1'])
  await t.rejects(root.read('data'), { message: 'cancelled' })
})

t.test('shutdown calls back to the process that runs the worker', async t => {
  const llambo = await rig(t)
  await (await llambo.as('root')).write('ctl', 'shutdown')
  t.equal(llambo.shutdowns, 1)
})
