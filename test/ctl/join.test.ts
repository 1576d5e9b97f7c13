/** Tests `llamboctl join` and `llamboctl leave`. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { isAlive } from '../../cli/serverfile.js'
import { answer, Cluster } from './cluster.js'
import { Home, type Run } from './fixture.js'

const token = { LLAMBO_TOKEN: 'llb_the-token' }

/** A machine that joins. Workers that it leaves running are killed at the end of the test. */
function machine(t: Test): Home {
  const home = new Home(t)
  t.teardown(async () => {
    for (const { pid, born } of workersOf(home)) if (isAlive({ pid, born })) process.kill(pid, 'SIGKILL')
  })
  return home
}

const workersFile = (home: Home) => home.path('run/llambo/join-workers.json')
const workersOf = (home: Home): { pid: number; born: string; id: string }[] =>
  existsSync(workersFile(home)) ? JSON.parse(readFileSync(workersFile(home), 'utf8')).workers : []

const count = (run: Run, words: RegExp) => [...run.stderr.matchAll(new RegExp(words, 'g'))].length

t.test('a machine joins as a host with workers, each over its own connection, until Ctrl-C', async t => {
  const cluster = await new Cluster(t, join(t.testdir(), 'state')).open()
  const home = machine(t)
  const run = home.start(['join', ...cluster.args, '--workers', '2', '--slots', '3'], token)
  await cluster.until(() => cluster.of('host').length === 1 && cluster.of('worker').length === 2)
  await run.says(/joined wss:/)
  const [host] = cluster.of('host')
  const workers = cluster.of('worker')
  t.match(Buffer.from(await host!.root.readFile('status')).toString(), /^server .*kind=host .*workers=2 /)
  for (const { attrs } of workers) t.match(attrs, { host: host!.attrs.name, class: 'default', slots: '3' })
  t.not(workers[0]!.attrs.id, workers[1]!.attrs.id)
  for (const member of workers) t.equal(await answer(member, 'hi'), '0:hi\n')
  const left = workersOf(home)
  t.equal(left.length, 2)
  run.child.kill('SIGINT')
  t.match(await run.ended, { code: 0, stdout: '', stderr: /leaving/ })
  for (const process of left) t.notOk(isAlive(process))
  t.notOk(existsSync(home.path('run/llambo/join.json')))
  await cluster.until(() => cluster.members.every(({ gone }) => gone))
})

t.test('unfinished answers are completed before a machine leaves', async t => {
  const cluster = await new Cluster(t, join(t.testdir(), 'state')).open()
  const home = machine(t)
  const run = home.start(['join', ...cluster.args], { ...token, LLAMBO_ENGINE_RATE: '20' })
  await cluster.until(() => cluster.of('worker').length === 1)
  const prompt = 'a b c d e f g h i j k l m n o p q r s t'
  const text = await answer(cluster.of('worker')[0]!, prompt, () => run.child.kill('SIGTERM'))
  t.ok(text.endsWith(':t\n'), text)
  t.equal((await run.ended).code, 0)
})

t.test('a machine that may not join says why at once and starts no worker', async t => {
  const state = join(t.testdir(), 'state')
  const cluster = await new Cluster(t, state).open()
  const home = machine(t)
  const other = `sha256:${'0'.repeat(64)}`
  const rows: readonly (readonly [string[], NodeJS.ProcessEnv, RegExp])[] = [
    [cluster.args, {}, /joining requires a token, in \$LLAMBO_TOKEN .*llamboctl invite/],
    [cluster.args, { LLAMBO_TOKEN: 'llb_wrong' }, /authentication required: .*rejected the token; llamboctl invite/],
    [
      [cluster.address, '--fingerprint', other],
      token,
      new RegExp(
        `certificate refused: ${cluster.address}: the fingerprint of the certificate is ${cluster.fingerprint}, expected ${other}; this is a different server`,
      ),
    ],
    [[cluster.address], token, /certificate refused: .*self-signed certificate; give the --fingerprint/],
  ]
  for (const [args, env, says] of rows) {
    const { code, stdout, stderr } = await home.start(['join', ...args], env).ended
    t.same([code, stdout], [4, ''], args.join(' '))
    t.match(stderr, says)
    t.notMatch(stderr, /trying again|worker/)
  }
  t.same(cluster.members, [])
  t.same(workersOf(home), [])
  const trusting = home.start(['join', cluster.address, '--workers', '0'], {
    ...token,
    NODE_EXTRA_CA_CERTS: join(state, 'llambo/certificate.pem'),
  })
  await cluster.until(() => cluster.of('host').length === 1)
  trusting.child.kill('SIGTERM')
  t.equal(
    (await trusting.ended).code,
    0,
    'a machine without a fingerprint joins where its authorities trust the certificate',
  )
})

t.test('invalid arguments of join are usage errors', async t => {
  const home = machine(t)
  const rows: readonly (readonly [string[], RegExp])[] = [
    [['ws://10.1.2.3:5641/join'], /not be encrypted; use wss:/],
    [['tcp!127.0.0.1!5640'], /joining over plain 9P is not supported/],
    [['gpu.example'], /unix!PATH, tcp!HOST!PORT/],
    [['wss://gpu.example:5641/9p'], /its path must be \/join/],
    [['wss://127.0.0.1:1', '--fingerprint', 'sha256:00'], /fingerprint sha256:00: expected sha256: and 64/],
    [['wss://127.0.0.1:1', '--workers', 'many'], /--workers: .*many/],
    [['wss://127.0.0.1:1', '--slots', '0'], /--slots/],
  ]
  for (const [args, says] of rows) {
    const { code, stderr } = await home.start(['join', ...args], token).ended
    t.equal(code, 2, args.join(' '))
    t.match(stderr, says)
  }
  const off = await home.start(['join'], { ...token, LLAMBO_MDNS: 'off' }).ended
  t.match(off, { code: 2, stderr: /mdns is off, so give the address/ })
})

t.test('join waits for an unreachable cluster and reports its loss and its return once each', async t => {
  const state = join(t.testdir(), 'state')
  const cluster = await new Cluster(t, state).open()
  const { args, address } = cluster
  const again = address.replace(/join$/, '9p')
  await cluster.close()
  const run = machine(t).start(['join', ...args], token)
  await run.says(/cannot reach wss:.*trying again until it answers/)
  await cluster.open(again)
  await cluster.until(() => cluster.of('host').length === 1 && cluster.of('worker').length === 1)
  await run.says(/joined wss:/)
  t.equal(count(run, /cannot reach/), 1)
  const { boot } = cluster.of('worker')[0]!.attrs

  await cluster.close()
  await run.says(/lost the connection to .*; trying again/)
  await run.says(/cannot reach[\s\S]*cannot reach/)
  // a token that is revoked after the join may be restored, so join goes on; the new reason is reported
  cluster.token = 'llb_another'
  await cluster.open(again)
  await run.says(/rejected the token; trying again/)
  cluster.token = token.LLAMBO_TOKEN
  await cluster.until(() => cluster.of('host').length === 1 && cluster.of('worker').length === 1)
  t.equal(cluster.of('worker')[0]!.attrs.boot, boot, 'the worker is the same process')
  await run.says(/joined wss:[\s\S]*joined wss:/)
  run.child.kill('SIGINT')
  t.equal((await run.ended).code, 0)
})

t.test('join reports why a cluster closes the connection', async t => {
  const cluster = await new Cluster(t, join(t.testdir(), 'state')).open()
  cluster.refuse = new Error('version 0.1.0 here, 9.0.0 there')
  const run = machine(t).start(['join', ...cluster.args], token)
  await run.says(
    /lost the connection to \S+ \(i\/o on hungup channel: version 0\.1\.0 here, 9\.0\.0 there\); trying again/,
  )
  await run.says(/further failures are not reported until a connection lasts/)
  t.ok(count(run, /joined wss:/) <= 3)
  run.child.kill('SIGTERM')
  t.equal((await run.ended).code, 0)
})

t.test('join reports why a cluster refuses the machine, and does not try again', async t => {
  const cluster = await new Cluster(t, join(t.testdir(), 'state')).open()
  const run = machine(t).start(['join', ...cluster.args], token)
  await cluster.until(() => cluster.of('host').length === 1)
  const why = 'version 9.0.0 cannot join a cluster of version 0.1.0; use the same major version'
  // the machine may be gone before it has answered
  await cluster
    .of('host')[0]!
    .root.writeFile('ctl', Buffer.from(`refused '${why}'\n`))
    .catch(() => undefined)
  t.match(await run.ended, { code: 1, stderr: new RegExp(`wss:\\S+ refused this machine: ${why}\n$`) })
})

t.test('leave ends a join in the background; a second join is refused, a server at the same time is not', async t => {
  const cluster = await new Cluster(t, join(t.testdir(), 'state')).open()
  const home = machine(t)
  t.equal((await home.ctl('leave')).code, 3)
  const joined = await home.start(['join', '-d', ...cluster.args], token).ended
  t.match(joined, { code: 0, stdout: '', stderr: `joined ${cluster.address}\n` })
  await cluster.until(() => cluster.of('worker').length === 1)
  const { pid } = JSON.parse(readFileSync(home.path('run/llambo/join.json'), 'utf8'))
  t.match(await home.start(['join', 'wss://127.0.0.1:1', '--fingerprint', cluster.fingerprint], token).ended, {
    code: 1,
    stderr: `llamboctl: this machine has already joined ${cluster.address} (pid ${pid}); to leave it: llamboctl leave\n`,
  })
  const elsewhere = { ...token, XDG_RUNTIME_DIR: home.path('elsewhere') }
  mkdirSync(elsewhere.XDG_RUNTIME_DIR, { mode: 0o700 })
  t.match(await home.start(['join', ...cluster.args], elsewhere).ended, {
    code: 1,
    stderr: `llamboctl: this machine has already joined a server (pid ${pid}); to leave it: kill ${pid}\n`,
  })
  const record = readFileSync(home.path('run/llambo/join.json'), 'utf8')
  writeFileSync(home.path('run/llambo/join.json'), '{"pid":')
  t.match(await home.start(['join', ...cluster.args], token).ended, {
    code: 1,
    stderr: `llamboctl: this machine has already joined a server (pid ${pid}); to leave it: kill ${pid}\n`,
  })
  writeFileSync(home.path('run/llambo/join.json'), record)
  await home.up()
  t.equal((await home.ctl('rdwr', 'data', 'hi')).stdout, '0:hi\n')
  t.equal((await home.ctl('down')).code, 0)
  t.same(await home.ctl('leave'), { code: 0, stdout: '', stderr: '' })
  t.notOk(isAlive({ pid, born: undefined }))
  const refused = await home.start(['join', '-d', ...cluster.args], { LLAMBO_TOKEN: 'llb_wrong' }).ended
  t.match(refused, { code: 4, stderr: /rejected the token.*\(log: \S+join\.log\)/ })
})

t.test('workers that a killed join leaves are kept for the same cluster only', async t => {
  const dir = t.testdir()
  const cluster = await new Cluster(t, join(dir, 'a')).open()
  const home = machine(t)
  const first = home.start(['join', ...cluster.args], token)
  await cluster.until(() => cluster.of('host').length === 1 && cluster.of('worker').length === 1)
  const [worker] = workersOf(home)
  first.child.kill('SIGKILL')
  await first.ended
  await cluster.until(() => cluster.of('host').length === 0)
  const second = home.start(['join', ...cluster.args], token)
  await cluster.until(() => cluster.of('host').length === 1)
  t.match(Buffer.from(await cluster.of('host')[0]!.root.readFile('status')).toString(), `worker id=${worker!.id} `)
  t.equal(cluster.of('worker').length, 1)
  second.child.kill('SIGKILL')
  await second.ended

  const other = await new Cluster(t, join(dir, 'b')).open()
  const third = home.start(['join', ...other.args], token)
  await cluster.until(() => cluster.of('worker').length === 0)
  await other.until(() => other.of('worker').length === 1)
  t.not(other.of('worker')[0]!.attrs.id, worker!.id)
  third.child.kill('SIGINT')
  t.equal((await third.ended).code, 0)
})
