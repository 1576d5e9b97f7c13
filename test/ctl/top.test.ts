/** Tests `llamboctl top`. */
import { spawn, spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { Chalk } from 'chalk'
import t from 'tap'
import { duration } from '../../cli/output.js'
import { width } from '../../cli/terminal/width.js'
import { Keys } from '../../top/keys.js'
import { Model } from '../../top/model.js'
import { firstChoice, page } from '../../top/page.js'
import { readable } from '../../top/top.js'
import { noTerminal, Terminal } from '../terminal.js'
import { FakeCluster } from './fakeCluster.js'
import { Home, llamboctl, Run } from './fixture.js'

const ESC = '\u001b'
/** Restores wrapping, the cursor and the ordinary screen. */
const LEAVE = `${ESC}[?7h${ESC}[?25h${ESC}[?1049l`
const plain = { color: new Chalk({ level: 0 }), unicode: true }
const NOW = Date.UTC(2026, 10, 21)

/** A model with `count` workers, a third of each class. */
function modelOf(count: number): Model {
  const lines = Array.from({ length: count }, (_, i) => {
    const name = `worker-${String(i).padStart(4, '0')}`
    return `worker name=${name} state=idle class=${['tiny', 'medium', 'large'][i % 3]} slots=4 active=${i % 5} tok_s=${i} queue=0`
  })
  const model = new Model()
  model.status(`server name=c kind=cluster state=idle util=0.5\n${lines.join('\n')}\n`, NOW)
  return model
}

t.test('a page has the size of the screen, whatever it shows', async t => {
  const model = modelOf(1000)
  for (let i = 0; i < 50; i++)
    model.happened([`seq=${i} time=2026-11-21T10:04:11.302Z kind=task-queued task=${i} user=ann`])
  for (const [columns, rows] of [
    [80, 24],
    [200, 60],
    [40, 10],
    [20, 5],
    [10, 3],
    [1, 1],
  ] as const) {
    const { lines } = page(model, firstChoice(), columns, rows, NOW, plain)
    t.equal(lines.length, rows, `${columns}x${rows}`)
    for (const line of lines) t.ok(width(line) <= columns, `${columns}x${rows}: ${JSON.stringify(line)}`)
  }
})

t.test('of a thousand workers only the visible ones are drawn, among them the chosen one', async t => {
  const model = modelOf(1000)
  const choice = firstChoice()
  choice.sort.workers = 'name'
  let shown = page(model, choice, 80, 24, NOW, plain)
  const keys = new Keys(model, choice, () => shown)
  const names = () => {
    shown = page(model, choice, 80, 24, NOW, plain)
    return shown.lines.flatMap(line => /worker-\d+/.exec(line)?.[0] ?? [])
  }
  t.equal(names()[0], 'worker-0000')
  t.ok(names().length < 24)
  keys.press(undefined, { name: 'end' })
  t.equal(names().at(-1), 'worker-0999')
  t.equal(keys.chosen, 'worker-0999')
  keys.press(undefined, { name: 'pageup' })
  t.ok(names().includes(keys.chosen))
  t.not(keys.chosen, 'worker-0999')
})

t.test('keys sort, filter and choose', async t => {
  const model = modelOf(30)
  const choice = firstChoice()
  let shown = page(model, choice, 100, 40, NOW, plain)
  const keys = new Keys(model, choice, () => shown)
  const press = (text: string) => {
    keys.press(text, { name: text, sequence: text })
    shown = page(model, choice, 100, 40, NOW, plain)
  }
  press('s')
  t.equal(choice.sort.workers, 'tok/s')
  t.match(
    shown.lines.find(line => line.includes('worker-')),
    /worker-0029/,
    'the fastest worker is first',
  )
  press('r')
  t.match(
    shown.lines.find(line => line.includes('worker-')),
    /worker-0000/,
  )
  press('S')
  t.equal(choice.sort.workers, 'utilisation')
  for (const letter of '/large') press(letter)
  t.equal(shown.lines.filter(line => line.includes('worker-')).length, 10)
  t.match(shown.lines.at(-1), /filter: large/)
  keys.press(undefined, { name: 'escape' })
  t.equal(choice.filter, '', 'Escape restores the filter')
  press('c')
  t.match(choice.message, /no task is selected/)
  t.same(keys.press('q', { name: 'q' }), { do: 'leave' })
})

t.test('text from a worker cannot control the terminal', async t => {
  const model = new Model()
  model.status(
    `server name='a${ESC}[2J' state=idle\nworker name='w${ESC}]0;x\u0007' state='\u009b31m' model='\u202edeb' slots=1\n`,
    NOW,
  )
  model.happened([`seq=1 time=2026-11-21T10:04:11.302Z kind='x${ESC}c' error='${ESC}[31m'`])
  const text = page(model, firstChoice(), 120, 24, NOW, plain).lines.join('\n')
  t.notMatch(text, /[^\n\P{Cc}]|[\u202a-\u202e]/u)
})

t.test('stale, down and draining workers are distinguished and determine the health of the cluster', async t => {
  const model = new Model()
  const status = (...states: string[]) =>
    model.status(
      `server state=idle queue=0\n${states.map((state, i) => `worker name=w${i} state=${state} slots=1`).join('\n')}\n`,
      NOW,
    )
  status('idle', 'busy', 'draining')
  t.same(model.health(), { word: 'HEALTHY', why: '' })
  status('idle', 'suspect', 'draining')
  t.same(model.health(), { word: 'DEGRADED', why: '1 stale' })
  model.status('server state=idle queue=0\nworker name=w0 state=idle slots=1\n', NOW + 1000)
  t.equal(model.workers.get('w1')?.state, 'down')
  t.notOk(model.workers.has('w2'), 'a drained worker that leaves is not down')
  t.same(model.health(), { word: 'DEGRADED', why: '1 down' })
  model.happened(['seq=1 time=2026-11-21T10:04:11.302Z kind=worker-draining worker=w1'])
  model.status('server state=idle queue=0\nworker name=w0 state=idle slots=1\n', NOW + 2000)
  t.same(
    model.health(),
    { word: 'HEALTHY', why: '' },
    'the worker counts as drained also where its event arrives later',
  )
  t.same(
    model.classes(),
    [{ class: 'default', workers: 1, share: 1 }],
    'a worker that is down does not count in its class',
  )
  model.status('server state=idle queue=7\nworker name=w0 state=idle slots=1\n', NOW + 400_000)
  t.equal(model.workers.size, 1, 'a worker that is down is forgotten after a while')
  t.same(model.health(), { word: 'BUSY', why: '7 queued' })
  model.problem = 'cannot reach it'
  t.same(model.health(), { word: 'DOWN', why: 'cannot reach it' })
  t.same([59, 61, 3720, 90_000].map(duration), ['59 s', '1 min 1 s', '1 h 2 min', '1 d 1 h'])
})

/** A cluster of three workers, two tasks and an event. */
async function cluster(t: Test, home: Home): Promise<FakeCluster> {
  const fake = new FakeCluster(t, home.path('sock'))
  fake.workers.set('worker-0001', {
    state: 'busy',
    class: 'tiny',
    active: 4,
    tok_s: 80,
    host: 'alpha',
    model: 'llama-1b',
  })
  fake.workers.set('worker-0002', { state: 'suspect', class: 'large', active: 1, host: 'beta' })
  fake.workers.set('worker-0003', { state: 'draining', class: 'tiny', host: 'alpha' })
  fake.tasks.set('41', { state: 'running', user: 'ann', worker: 'worker-0001', completion_tokens: 57, tok_s: 20 })
  fake.tasks.set('42', { state: 'queued', user: 'bob', position: 1 })
  fake.tasks.set('40', { state: 'done', user: 'ann', worker: 'worker-0001' })
  fake.events.add('worker-joined', { worker: 'worker-0001', host: 'alpha' })
  return fake.open()
}
type Test = Parameters<typeof Terminal.start>[0]

t.test('without a terminal top prints once, without escape sequences, and --json has the same content', async t => {
  const home = new Home(t)
  const { address } = await cluster(t, home)
  const { stdout, code } = await home.ctl('--at', address, 'top')
  t.equal(code, 0)
  t.notOk(stdout.includes(ESC))
  t.match(stdout, /Active nodes 1\/3 .*Status {3}DEGRADED {2}1 stale\n/)
  t.match(stdout, /Throughput {3}10,234 tok\/s .*Latency {2}45 ms\n/)
  t.match(stdout, /67 % .*Uptime {3}3 h 12 min\n/)
  t.match(stdout, / tiny +2 +67 %\n.* large +1 +33 %\n/)
  t.match(stdout, /worker-0002 +stale .*\nworker-0003 +draining /)
  t.match(stdout, / 41 running +ann +worker-0001 +57 .*\n +42 queued 1 +bob /)
  t.notMatch(stdout, /^ +40 done/m, 'ended tasks are not shown')
  t.match(stdout, /worker-joined worker=worker-0001 host=alpha\n/)
  const json = JSON.parse((await home.ctl('--at', address, 'top', '--json')).stdout)
  t.match(json, { server: { tok_s: '10234' }, health: { word: 'DEGRADED' }, tasks: [{ id: '42' }, { id: '41' }] })
  t.equal(json.workers.length, 3)
  t.match(await home.ctl('--at', 'unix!/nowhere', 'top'), { code: 3, stderr: /no server answers/ })
})

const skip = { skip: noTerminal }

t.test('top follows the cluster and obeys keys in a terminal', skip, async t => {
  const home = new Home(t)
  const fake = await cluster(t, home)
  const top = (more = '') =>
    `echo before; '${process.execPath}' '${llamboctl}' --at '${fake.address}' top ${more}; echo "after $?"; exec cat`
  const env = { ...home.env, LANG: 'C.UTF-8' }

  const dumb = await Terminal.start(t, ['sh', '-c', top()], { env: { ...env, TERM: 'dumb' }, cwd: home.dir, rows: 40 })
  t.match(await dumb.screen(/after 0/), /^LLAMBO CLUSTER fake/m, 'a dumb terminal gets one printout')

  const terminal = await Terminal.start(t, ['sh', '-c', top()], { env, cwd: home.dir, columns: 100, rows: 30 })
  await terminal.screen(/^▸ worker-0001 +busy +██████████ 4\/4 +80\.0/m)
  t.notMatch(await terminal.shown(), /before/, 'top uses the alternate screen')

  fake.workers.delete('worker-0003')
  fake.workers.set('worker-0004', { state: 'idle' })
  await terminal.screen(screen => !/worker-0003/.test(screen) && /worker-0004 +idle/.test(screen))
  fake.workers.delete('worker-0004')
  fake.events.add('worker-left', { worker: 'worker-0004' })
  await terminal.screen(screen => /worker-0004 +down/.test(screen) && /worker-left worker=worker-0004/.test(screen))

  await terminal.press('Down')
  await terminal.screen(/^▸ worker-0002 +stale/m)
  await terminal.press('Enter')
  await terminal.screen(/^worker-0002\nserver\n {2}name +fake/m)
  await terminal.press('Escape')
  await terminal.screen(/^▸ worker-0002/m)

  await terminal.type('/beta')
  await terminal.screen(screen => /filter: beta/.test(screen) && !/worker-0001 +busy/.test(screen))
  await terminal.press('Escape')
  await terminal.screen(/worker-0001 +busy/)
  await terminal.press('Tab')
  await terminal.screen(/^▸ +41 running/m)
  await terminal.press('Enter')
  await terminal.screen(/^task 41\ntask\n[\s\S]*^trace\nsubmitted ms=0/m)
  await terminal.type('c')
  await terminal.screen(/cancel task 41\? y or n/)
  await terminal.type('n')
  await terminal.screen(screen => !/cancel task/.test(screen))
  t.same(fake.cancelled, [], 'n does not cancel')
  await terminal.type('cy')
  await terminal.screen(/task 41 cancelled/)
  t.same(fake.cancelled, ['41'])
  await terminal.press('Escape')
  await terminal.type('?')
  await terminal.screen(/llamboctl top: keys/)
  await terminal.press('Escape')

  await terminal.resize(60, 15)
  const small = await terminal.screen(screen => /LLAMBO CLUSTER/.test(screen) && screen.split('\n').length <= 15)
  t.ok(small.split('\n').every(line => width(line) <= 60))

  await fake.close()
  await terminal.screen(/Status +DOWN {2}\S/)
  await fake.open()
  await terminal.screen(/Status +DEGRADED/)

  await terminal.type('q')
  t.match(await terminal.screen(/after 0/), /^(?:before\n)?after 0$/, 'the screen is restored')
})

t.test('the screen and the cursor are restored also at a signal and at a crash', async t => {
  if (spawnSync('script', ['--version']).error) return t.comment('script(1) is missing: not tried')
  const home = new Home(t)
  const fake = await cluster(t, home)
  const crash = home.file('crash.mjs', 'process.on("SIGUSR2", () => { throw new Error("a crash") })')
  const command = `echo $$ > pid; exec '${process.execPath}' '${llamboctl}' --at '${fake.address}' top`
  for (const [signal, code] of [
    ['SIGTERM', 143],
    ['SIGINT', 130],
    ['SIGUSR2', 1],
  ] as const) {
    const env = { ...home.env, TERM: 'xterm', NODE_OPTIONS: `--import ${crash}` }
    const run = new Run(spawn('script', ['-qec', command, '/dev/null'], { env, cwd: home.dir }))
    await run.says(/worker-0001/)
    process.kill(Number(readFileSync(home.path('pid'), 'utf8')), signal)
    const { stdout, code: ended } = await run.ended
    t.equal(ended, code, signal)
    const [, after = ''] = stdout.split(LEAVE)
    t.ok(stdout.includes(LEAVE), `${signal}: the screen is restored`)
    t.notMatch(after, /worker-0001/, 'nothing is drawn afterwards')
    if (signal === 'SIGUSR2') t.match(after, /a crash/, 'the error of the crash is printed on the restored screen')
  }
})

t.test('the details of a worker have units, and an unknown latency is shown as unknown', async t => {
  t.strictSame(readable('server name=w mem_total=25276063744 uptime_s=185 slots=4 gpu_mem=0\n'), [
    'server',
    '  name               w',
    '  mem_total          25.3 GB',
    '  uptime_s           3 min 5 s',
    '  slots              4',
    '  gpu_mem            0 B',
  ])
  const model = modelOf(1)
  t.match(page(model, firstChoice(), 100, 20, NOW, plain).lines.join('\n'), /Latency +not known yet/)
})
