/** Tests `llamboctl up` and `llamboctl down`. */
import { chmodSync, existsSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { isAlive } from '../../cli/serverfile.js'
import { Home } from './fixture.js'

const pidOf = (home: Home): number => JSON.parse(readFileSync(home.path('run/llambo/server.json'), 'utf8')).pid

const alive = (pid: number): boolean => isAlive({ pid, born: undefined })

t.test('up -d returns when the server answers prompts, and down when the server is gone', async t => {
  const home = new Home(t)
  const up = await home.ctl('up', '-d')
  t.match(up, { code: 0, stdout: '', stderr: /listening on unix!/ })
  const pid = pidOf(home)
  t.equal((await home.ctl('rdwr', 'data', 'hi')).stdout, '0:hi\n')
  t.match(await home.ctl('doctor'), { stdout: new RegExp(`running \\(pid ${pid}\\)`) })

  const second = await home.ctl('up', '-d')
  t.equal(second.code, 1)
  t.match(
    second.stderr,
    new RegExp(`your server is already running \\(pid ${pid}\\) at unix!.*to stop it: llamboctl down`),
  )

  t.same(await home.ctl('down'), { code: 0, stdout: '', stderr: '' })
  t.notOk(alive(pid))
  t.notOk(existsSync(home.path('run/llambo/server.json')))
  t.equal((await home.ctl('down')).code, 3)
})

t.test('a directory in the place of the log is reported with the remedy', async t => {
  const home = new Home(t)
  home.file('.local/state/llambo/server.log/x', '')
  chmodSync(home.path('.local/state/llambo'), 0o700)
  const log = home.path('.local/state/llambo/server.log')
  const { code, stderr } = await home.ctl('up', '-d')
  t.equal(code, 1)
  t.match(stderr, /cannot write the log: EISDIR: /)
  t.ok(stderr.endsWith(`mv ${log} ${log}.old\n`), stderr)
  rmSync(log, { recursive: true })
})

t.test('down stops a server with a damaged server.json through its socket', async t => {
  const home = new Home(t)
  await home.ctl('up', '-d')
  const pid = pidOf(home)
  truncateSync(home.path('run/llambo/server.json'), 20)
  const { code, stderr } = await home.ctl('down')
  t.equal(code, 0, stderr)
  t.match(stderr, /^server\.json is missing or damaged; stopping the server that answers at your socket\n$/)
  while (alive(pid)) await sleep(50)
  t.match(await home.ctl('down'), { code: 3, stderr: /your server is not running/ })
})

t.test('Ctrl-C and SIGTERM stop a server in the foreground cleanly', async t => {
  const home = new Home(t)
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    const run = await home.up()
    run.child.kill(signal)
    t.match(await run.ended, { code: 0, stdout: '', stderr: /stopping/ })
    t.notOk(existsSync(home.path('run/llambo/server.json')))
  }
})

t.test('down at an address stops the server that answers there', async t => {
  const home = new Home(t)
  const run = await home.up()
  const [, address = ''] = /listening on (ws:\S+)/.exec(run.stderr) ?? []
  t.equal((await home.ctl('down', '--at', address)).code, 0)
  t.equal((await run.ended).code, 0)
})

t.test('a server starts after another was killed', async t => {
  const home = new Home(t)
  const run = await home.up()
  run.child.kill('SIGKILL')
  await run.ended
  t.ok(existsSync(home.path('run/llambo/9p')), 'the socket of the killed server is left behind')
  t.equal((await home.ctl('status')).code, 3)
  // a file that the killed server was writing does not hinder the next either
  home.file('run/llambo/server.json', '{"pid":')
  await home.up()
  t.equal((await home.ctl('rdwr', 'data', 'hi')).stdout, '0:hi\n')
  t.match((await home.ctl('cat', 'events')).stdout, /kind=not-restored kept=server\.json\.damaged error=/)
  t.equal(readFileSync(home.path('run/llambo/server.json.damaged'), 'utf8'), '{"pid":')
})

t.test('another process with the same number is not taken for the server', async t => {
  const home = new Home(t)
  const run = await home.up()
  run.child.kill('SIGKILL')
  await run.ended
  const path = home.path('run/llambo/server.json')
  writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, 'utf8')), pid: process.pid }))
  t.equal((await home.ctl('down')).code, 3)
  await home.up()
})

t.test('up -d reports why a server did not start, and leaves nothing behind', async t => {
  const home = new Home(t, { LLAMBO_ENGINE: 'llama' })
  const { code, stderr } = await home.ctl('up', '-d', '--model', 'nonesuch')
  t.equal(code, 1)
  t.match(stderr, /^llamboctl: .*nonesuch.*llamboctl models.*\(log: \S+server\.log\)\n$/)
  t.notOk(existsSync(home.path('run/llambo/server.json')))
  t.notOk(existsSync(home.path('run/llambo/9p')))
})

t.test('--trace writes the messages that the server receives and sends', async t => {
  const home = new Home(t)
  await home.up('--trace', home.path('trace'))
  await home.ctl('cat', 'status')
  const trace = readFileSync(home.path('trace'), 'utf8')
  t.match(trace, /^<- .*Tversion/m)
  t.match(trace, /^-> .*Rversion/m)
})

t.test('a server goes on when its output is no longer read', async t => {
  const home = new Home(t)
  const run = await home.up()
  run.child.stderr?.destroy()
  run.child.stdout?.destroy()
  t.equal((await home.ctl('rdwr', 'data', 'hi')).stdout, '0:hi\n')
  t.equal((await home.ctl('down')).code, 0)
})

t.test('up -d resolves paths in the directory where it was called', async t => {
  const home = new Home(t)
  home.file('my.yaml', 'slots: 9\n')
  t.equal((await home.ctl('up', '-d', '--config', 'my.yaml')).code, 0)
  t.match((await home.ctl('status')).stdout, / slots=9 /)
})

t.test('other users may not read anything that a server makes', async t => {
  const home = new Home(t)
  await home.up()
  const { stdout } = await home.ctl('ls', '-l', '/')
  t.match(stdout, /status/)
  for (const name of ['run/llambo', 'run/llambo/9p', 'run/llambo/server.json', '.local/state/llambo/token']) {
    const { mode } = (await import('node:fs')).statSync(home.path(name))
    t.equal(mode & 0o077, 0, name)
  }
})

t.test(
  'after a restart workers load the model that was loaded on all workers, and not the model of their class',
  async t => {
    const home = new Home(t)
    const first = async () => {
      const { stdout } = await home.ctl('cat', 'worker-0001/events')
      return /kind=loading model=(\S+)/.exec(stdout)?.[1]
    }
    const run = await home.up()
    t.equal(await first(), 'echo')
    t.match(await home.ctl('write', 'ctl', 'load blue'), { code: 0 })
    t.equal((await home.ctl('down')).code, 0)
    await run.ended
    await home.up()
    t.equal(await first(), 'blue')
  },
)
