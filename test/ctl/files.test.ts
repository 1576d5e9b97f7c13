/** Tests the commands that read, write, list and copy files of a server. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { startServer } from '../mnt/fixture.js'
import { checkout, Home } from './fixture.js'

const model = join(checkout, 'models', 'llambo-tiny.gguf')

t.test('commands work on the files of a server', async t => {
  const home = new Home(t)
  await home.up()

  t.test('rdwr prints the answer and nothing else', async t => {
    t.same(await home.ctl('rdwr', 'data', 'red', 'green'), { code: 0, stdout: '0:red 1:green\n', stderr: '' })
    t.same(await home.feed('red green', 'rdwr', '/n/llambo/data'), { code: 0, stdout: '0:red 1:green\n', stderr: '' })
  })

  t.test('write and cat work like echo and cat', async t => {
    t.same(await home.ctl('write', 'data', 'one two'), { code: 0, stdout: '', stderr: '' })
    t.equal((await home.ctl('cat', '/data')).stdout, '0:one 1:two\n')
    await home.feed('three\n', 'write', '/n/llambo/data')
    t.equal((await home.ctl('read', 'data')).stdout, '0:three\n')
  })

  t.test('ls lists names, and with -l also mode, owner, size and time', async t => {
    const { stdout } = await home.ctl('ls')
    t.ok(stdout.split('\n').includes('status'))
    t.ok(stdout.split('\n').includes('worker-0001'))
    const long = (await home.ctl('ls', '-l', 'models')).stdout
    t.match(long, /^-r[-w]+\S*\t\S+\t2840000\t\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\tllambo-tiny\.gguf$/m)
    t.equal((await home.ctl('ls', 'status')).stdout, 'status\n')
  })

  t.test('stat prints a record', async t => {
    t.match(
      (await home.ctl('stat', 'status')).stdout,
      /^\/n\/llambo\/status mode=-r\S+ perm=0\d{3} uid=\S+ .*qid=\d+\.\d+\.0\n$/,
    )
  })

  t.test('status prints text or JSON', async t => {
    t.match((await home.ctl('status')).stdout, /^server name=\S+ kind=cluster /)
    const records = JSON.parse((await home.ctl('status', '--json')).stdout)
    t.match(records[0], { record: 'server', kind: 'cluster', slots: '4' })
  })

  t.test('models lists all models and whether they are loaded', async t => {
    t.match((await home.ctl('models')).stdout, /^llambo-tiny\t2840000\tno\t/m)
    const list = JSON.parse((await home.ctl('models', '--json')).stdout)
    t.match(list, [
      { name: 'echo', loaded: true },
      { name: 'llambo-tiny', size: 2840000, loaded: false },
    ])
  })

  t.test('cp copies a model in and out, and rm removes it', async t => {
    t.same(await home.ctl('cp', model, '/n/llambo/models/mine.gguf'), { code: 0, stdout: '', stderr: '' })
    t.match((await home.ctl('ls', 'models')).stdout, /^mine\.gguf$/m)
    await home.ctl('cp', '/n/llambo/models/mine.gguf', home.path('out.gguf'))
    t.ok(readFileSync(home.path('out.gguf')).equals(readFileSync(model)))
    t.equal((await home.ctl('rm', 'models/mine.gguf')).code, 0)
    t.notMatch((await home.ctl('ls', 'models')).stdout, /mine/)
  })

  t.test('cp of several files needs a directory', async t => {
    const args = ['/n/llambo/status', '/n/llambo/ctl']
    t.equal((await home.ctl('cp', ...args, home.path('out.gguf'))).code, 2)
    t.equal((await home.ctl('cp', ...args, home.dir)).code, 0)
    t.match(readFileSync(home.path('status'), 'utf8'), /^server /)
    t.match(readFileSync(home.path('ctl'), 'utf8'), /^strategy specialise/)
  })

  t.test('cp reports what is wrong with a bad model, and nothing is left of it', async t => {
    const bad = home.file('bad.gguf', readFileSync(model).subarray(0, 60))
    const { code, stderr } = await home.ctl('cp', bad, '/n/llambo/models/')
    t.equal(code, 1)
    t.match(stderr, /^llamboctl: \/n\/llambo\/models\/bad\.gguf: model file is damaged: /)
    t.notMatch((await home.ctl('ls', 'models')).stdout, /bad/)
  })

  t.test('an error is one line that names the file', async t => {
    t.same(await home.ctl('cat', 'x'), { code: 1, stdout: '', stderr: 'llamboctl: /n/llambo/x: file does not exist\n' })
    const { code, stderr } = await home.ctl('write', 'ctl', 'tempersture 1')
    t.equal(code, 1)
    t.match(stderr, /^llamboctl: \/n\/llambo\/ctl: unknown command.*tempersture.*\n$/)
  })

  t.test('ctl shows what was written to it', async t => {
    await home.ctl('write', 'ctl', 'temperature', '0.25')
    t.match((await home.ctl('cat', 'ctl')).stdout, /^temperature 0\.25$/m)
  })

  t.test('--trace writes every message on a line', async t => {
    await home.ctl('--trace', home.path('trace'), 'cat', 'status')
    const lines = readFileSync(home.path('trace'), 'utf8')
    t.match(lines, /Tversion/)
    t.match(lines, /Ropen/)
  })
})

t.test('a waiting client exits with 130 at Ctrl-C', async t => {
  const home = new Home(t)
  await home.up()
  const run = home.start(['cat', 'event'])
  await run.says(/kind=started/)
  run.child.kill('SIGINT')
  t.match(await run.ended, { code: 130, stderr: '' })
})

t.test('an answer is printed while it is generated', async t => {
  const home = new Home(t, { LLAMBO_ENGINE_RATE: '10' })
  await home.up()
  const run = home.start(['rdwr', 'data', 'tick x20'])
  await run.says(/0:tick/)
  t.notMatch(run.stdout, /19:tick/, 'the last token is two seconds away')
  t.match((await run.ended).stdout, /19:tick\n$/)
})

t.test('write -a appends to a file of any 9P server', async t => {
  const home = new Home(t)
  const served = await startServer(`unix!${home.path('other')}`)
  t.teardown(() => served.stop())
  const on = (...args: string[]) => home.ctl('--at', served.address, ...args)
  t.equal((await on('write', '-a', 'memory', 'more')).code, 0)
  t.equal((await on('cat', 'memory')).stdout, '0123456789more\n')
})
