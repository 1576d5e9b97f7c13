/** Tests hosts with real worker processes. */
import { spawn } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { readJoinFile } from '../../cli/joinfile.js'
import { isAlive } from '../../cli/serverfile.js'
import type { Config } from '../../cli/settings.js'
import type { Host } from '../../cluster/host.js'
import { hostName, type LocalHostOptions, localHost } from '../../ctl/server/host.js'
import { machineIdentity } from '../../ctl/server/identity.js'
import { spawner } from '../../ctl/server/spawn.js'
import { parseRecords } from '../../fs/base/quote.js'
import { OREAD } from '../../fs/wire/protocol.js'
import { Parent, place } from './parent.js'

const echo = { model: 'llambo-tiny', slots: 2, 'engine.kind': 'echo' } as Config

async function rig(t: Test, config: Partial<Config> = {}, options: Partial<LocalHostOptions> = {}) {
  const { dir, env } = place(t)
  const parent = await Parent.listen(t, dir)
  const notes: string[] = []
  const host = localHost({
    config: { ...echo, ...config } as Config,
    env: { ...env, LLAMBO_TOKEN: 'llb_secret', OPENAI_API_KEY: 'sk-secret', ...options.env },
    upstream: { address: parent.address, token: 'llb_join' },
    note: line => notes.push(line),
    shutdown: () => {},
    ...options,
  })
  t.teardown(() => host.close())
  return { dir, env, parent, notes, host }
}

/** Reads the events of a host until one of that kind matches `where`. @returns its attributes */
async function until(host: Host, kind: string, where: Record<string, string> = {}): Promise<Record<string, string>> {
  const ctx = { user: { name: 'root', uid: 0, role: 'admin' as const }, signal: new AbortController().signal }
  const opened = await (await host.root.walk!('event', ctx))!.open(0, ctx)
  let text = ''
  for (;;) {
    text += new TextDecoder().decode(await opened.read!(text.length, 65536, ctx))
    for (const { attrs } of parseRecords(text))
      if (attrs.kind === kind && Object.entries(where).every(([name, value]) => attrs[name] === value)) return attrs
  }
}

async function gone(pid: number): Promise<void> {
  while (isAlive({ pid, born: undefined })) await sleep(10)
}

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes)

t.test('a worker joins with the id and class that it was started with, and answers', async t => {
  const { host, parent } = await rig(t)
  const [id] = host.spawn('default')
  const worker = await parent.next()
  const [{ boot, pid }] = host.workers as [Host['workers'][0]]
  t.match(await worker.status(), { kind: 'worker', id, boot, class: 'default', slots: '2' })
  t.equal(await worker.tree.ask('data', 'red green'), '0:red 1:green\n')
  t.equal(host.workers[0]!.state, 'running')
  t.ok(isAlive({ pid: pid!, born: undefined }))
})

t.test('a worker has its own session, is killed first where memory runs out, and shows no secrets', async t => {
  const { host, parent } = await rig(t)
  host.spawn('default')
  await parent.next()
  const proc = `/proc/${host.workers[0]!.pid}`
  if (!existsSync(proc)) return t.pass('skipped: there is no /proc here')
  const read = (name: string) => readFileSync(`${proc}/${name}`, 'utf8')
  t.equal(read('oom_score_adj'), '500\n')
  const [, , , sid] = read('stat')
    .slice(read('stat').lastIndexOf(')') + 2)
    .split(' ')
  t.equal(Number(sid), host.workers[0]!.pid)
  t.notMatch(read('cmdline'), /llb_|secret/)
  t.notMatch(read('environ'), /llb_|secret|LLAMBO_TOKEN|OPENAI/)
  t.match(read('environ'), /HOME=.*XDG_RUNTIME_DIR=/)
})

t.test('a worker trusts its cluster for the user and role of an attach', async t => {
  const { host, parent } = await rig(t)
  host.spawn('default')
  const worker = await parent.next()
  const ann = await worker.as('ann')
  await t.rejects(ann.write('ctl', 'drain'), { message: 'permission denied' })
  t.equal(await ann.ask('data', 'hi'), '0:hi\n')
  t.match(await ann.read('task/1/status'), / user=ann /)
  await t.rejects((await worker.as('bob', '?role=use&chunk')).read('task/1/status'), /permission denied|does not exist/)
  await t.rejects((await worker.as('carl', '?role=read')).write('ctl', 'drain'), { message: 'permission denied' })
  await (await worker.as('dora', '?role=admin')).write('ctl', 'temperature 0.5')
  await t.rejects(worker.as('eve', '?role=god'), { message: 'bad argument: no role "god"; roles: admin use read' })
  await t.rejects(worker.as('eve', '?rule=use'), {
    message: 'bad argument: unknown attach option rule=use; options: chunk role=',
  })
})

t.test('a worker that is stopped finishes its answers and accepts no more prompts', async t => {
  const { host, parent } = await rig(t, { 'engine.rate': 50 })
  const [id] = host.spawn('default')
  const worker = await parent.next()
  const fid = await worker.tree.open('generate')
  await fid.write(0, new TextEncoder().encode('{"prompt":"red x40"}'))
  let answer = text(await fid.read(0, 8192))
  const stopped = host.stop(id!)
  while (!/state=draining/.test(await worker.tree.read('status'))) await sleep(5)
  await t.rejects(worker.tree.ask('data', 'more'), { message: /^shutting down/ })
  for (let next = ' '; next; answer += next) next = text(await fid.read(new TextEncoder().encode(answer).length, 8192))
  t.match(answer, /39:red/)
  t.match(answer, /"event":"end","reason":"stop"/)
  await fid.clunk()
  await stopped
  t.match(await until(host, 'worker-exited'), { code: '0', cause: 'stopped' })
})

t.test('shutdown in the ctl of a worker ends it, and its host does not start it again', async t => {
  const { host, parent } = await rig(t)
  host.spawn('default')
  const worker = await parent.next()
  await worker.tree.write('ctl', 'shutdown')
  t.match(await until(host, 'worker-exited'), { code: '0', cause: 'stopped' })
  t.same(host.workers, [])
})

t.test('a second SIGTERM ends a worker at once', async t => {
  const { host, parent } = await rig(t, { 'engine.rate': 1 })
  host.spawn('default')
  const worker = await parent.next()
  const { pid } = host.workers[0]!
  const fid = await worker.tree.open('data')
  await fid.write(0, new TextEncoder().encode('red x1000'))
  await fid.read(0, 100)
  process.kill(pid!, 'SIGTERM')
  while (!/state=draining/.test(await worker.tree.read('status'))) await sleep(5)
  process.kill(pid!, 'SIGTERM')
  t.match(await until(host, 'worker-exited'), { code: '143' })
})

t.test('a worker that is killed starts again with the same id', async t => {
  const { host, parent } = await rig(t)
  const [id] = host.spawn('default')
  const first = await (await parent.next()).status()
  process.kill(host.workers[0]!.pid!, 'SIGKILL')
  t.match(await until(host, 'worker-exited'), { signal: 'SIGKILL', cause: 'killed' })
  const second = await (await parent.next()).status()
  t.equal(second.id, id)
  t.not(second.boot, first.boot)
})

t.test('a worker joins again when its cluster returns, and ends when the cluster stays away', async t => {
  const { host, parent } = await rig(t, {}, { orphan_ms: 2000 })
  host.spawn('default')
  const { id, boot } = await (await parent.next()).status()
  await parent.close()
  await parent.open()
  t.match(await (await parent.next()).status(), { id, boot })
  await parent.close()
  const exited = await until(host, 'worker-exited')
  t.match(exited, {
    code: '3',
    cause: 'crashed',
    error: `no connection to the cluster at ${parent.address} for 2 s; exiting`,
  })
})

t.test('a host reports why a worker could not start', async t => {
  const { host, notes } = await rig(t, { 'engine.kind': 'openai' })
  host.spawn('default')
  const error = /^engine openai needs engine\.url, such as/
  t.match(await until(host, 'worker-exited'), { code: '2', cause: 'crashed', error })
  t.match(await until(host, 'worker-backoff'), { crashes: '1' })
  t.match(notes.join('\n'), /^worker [0-9a-f]{8}: engine openai needs/)
})

t.test('a worker whose model cannot be loaded stays and reports it', async t => {
  const { host, parent } = await rig(t, { 'engine.kind': 'llama', model: 'none-such' })
  host.spawn('default')
  const worker = await parent.next()
  while ((await worker.status()).state !== 'failed') await sleep(10)
  const events = await worker.tree.open('events', OREAD)
  t.match(
    text(await events.read(0, 8192)),
    /kind=load-failed model=none-such error='file does not exist: model none-such/,
  )
  while (host.workers[0]!.state === 'starting') await sleep(10)
  t.equal(host.workers[0]!.state, 'running')
})

t.test(
  'a worker has the settings of its class, and one that needs more memory than the machine has is refused',
  async t => {
    const classes = { tiny: { slots: 1, memory: 4096, cores: 0.5, type: 'code' }, giant: { memory: 2 ** 50 } }
    const { host, parent } = await rig(t, { classes })
    t.throws(() => host.spawn('giant'), { message: /^not enough memory for giant: needs 1125899906842624 has \d+$/ })
    const [id] = host.spawn('tiny')
    const worker = await parent.next()
    t.match(await worker.status(), { id, class: 'tiny', slots: '1' })
    t.match(await worker.tree.read('status'), /^model name=echo type=code /m)
  },
)

t.test('the exit of a process has its last line, or why it could not be started', async t => {
  const { env } = place(t)
  const run = (...command: [string, ...string[]]) =>
    spawner({ config: echo, env, host: 'alpha', orphan_ms: 1000, note: () => {}, command })({
      id: 'i',
      boot: 'b',
      class: { name: 'default', slots: 1, memory: 0, cores: 0 },
      host_id: 'h',
      secret: '',
      upstream: { address: 'unix!/nowhere' },
    })
  const none = run('/nowhere/node')
  t.equal(none.pid, undefined)
  t.same(await none.exited, { code: null, signal: null, said: 'spawn /nowhere/node ENOENT' })
  none.kill('SIGKILL')
  const thrown = run(process.execPath, '-e', 'throw new Error("no cheese left")')
  t.same(await thrown.exited, { code: 1, signal: null, said: 'Error: no cheese left' })
  const missing = await run(process.execPath, '/nowhere/worker.js').exited
  t.match(missing, { code: 1, said: /^Error.*: Cannot find module '\/nowhere\/worker\.js'/ })
  const aborted = run(process.execPath, '-e', 'process.stderr.write("half a line"); process.abort()')
  t.match(await aborted.exited, { code: null, signal: 'SIGABRT', said: 'half a line' })
})

t.test('without a free file descriptor no process is started, and the exit says so', async t => {
  const program = fileURLToPath(new URL('./starved.js', import.meta.url))
  const limited = ['-c', 'ulimit -n 64 && exec "$@"', 'sh', process.execPath, program]
  const child = spawn('sh', limited, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  const said = new Promise(resolve => child.once('message', resolve))
  t.same(await Promise.race([said, new Promise(resolve => child.once('exit', resolve))]), {
    code: null,
    signal: null,
    said: `spawn ${process.execPath} EMFILE`,
  })
})

t.test('workers outlive a killed host, and the next host takes them over', async t => {
  const { dir, env } = place(t)
  const parent = await Parent.listen(t, dir)
  const program = fileURLToPath(new URL('./host-process.js', import.meta.url))
  const child = spawn(process.execPath, [program, parent.address, JSON.stringify(echo)], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [id, pid] = text((await child.stdout.take(1).toArray())[0])
    .trim()
    .split(' ')
  const worker = await parent.next()
  child.kill('SIGKILL')
  await new Promise(resolve => child.once('exit', resolve))
  t.equal(await worker.tree.ask('data', 'still here'), '0:still 1:here\n')

  const start = (config: Config) =>
    localHost({ config, env, upstream: { address: parent.address }, note: () => {}, shutdown: () => {} })
  const next = start(echo)
  t.match(next.workers, [{ id, pid: Number(pid), state: 'running' }])
  t.match(await until(next, 'worker-adopted'), { id, pid })

  process.kill(Number(pid), 'SIGKILL')
  const again = await (await parent.next()).status()
  t.equal(again.id, id, 'a worker that was taken over is started again like any other')
  const { pid: now } = next.workers[0]!
  t.match(JSON.parse(readFileSync(join(dir, 'run/llambo/workers.json'), 'utf8')), { workers: [{ id, pid: now }] })

  // `next` is not stopped, as if it had been killed too
  const other = start({ ...echo, slots: 3 })
  t.same(other.workers, [], 'workers with other settings are not taken over')
  await gone(now!)
  await Promise.all([next.close(), other.close()])
})

t.test('a host takes over as many workers of a killed host as are asked for now', async t => {
  const { dir, env } = place(t)
  const parent = await Parent.listen(t, dir)
  const start = (workers: number) => {
    const config = { ...echo, workers, classes: { tiny: { slots: 1 } } }
    return localHost({ config, env, upstream: { address: parent.address }, note: () => {}, shutdown: () => {} })
  }
  // none of the hosts is stopped, as if each had been killed
  const first = start(2)
  first.spawn('default', 3)
  first.spawn('tiny')
  const pids = first.workers.map(({ pid }) => pid!)
  for (const _ of pids) await parent.next()
  const second = start(2)
  t.equal(second.workers.length, 4, 'workers that were spawned later are kept too')
  const third = start(1)
  t.same(
    third.workers.map(({ pid }) => pid),
    [pids[0], pids[1], pids[3]],
  )
  await gone(pids[2]!)
  await Promise.all([first.close(), second.close(), third.close()])
})

t.test('a worker first loads the model that it should hold or, where that fails, the model of its class', async t => {
  const { host, parent } = await rig(t)
  const loads = async (hold: string | undefined) => {
    host.spawn('default', 1, hold)
    const { tree } = await parent.next()
    while (host.workers.some(({ state }) => state === 'starting')) await sleep(10)
    return /^load .*/m.exec(await tree.read('ctl'))?.[0]
  }
  t.equal(await loads('blue'), 'load blue')
  t.equal(await loads('none'), undefined)
  t.equal(await loads(undefined), 'load echo')

  const other = await rig(t, { 'engine.kind': 'llama', model: 'none-such' })
  other.host.spawn('default', 1, 'removed')
  const worker = await other.parent.next()
  while (!(await worker.status()).error?.includes('none-such')) await sleep(10)
  t.match(await worker.tree.read('events'), /kind=load-failed model=removed [\s\S]*kind=load-failed model=none-such /)
})

t.test('a host renames damaged files of a previous host and starts', async t => {
  const { dir, env } = place(t)
  const parent = await Parent.listen(t, dir)
  for (const name of ['workers.json', 'join.json'])
    writeFileSync(join(dir, 'run/llambo', name), '{"workers":[{"pid":-1}]}')
  const kept: string[] = []
  const onDamaged = (name: string, why: string) => kept.push(`${name} ${why.length > 0}`)
  const upstream = { address: parent.address }
  const host = localHost({ config: echo, env, upstream, note: () => {}, shutdown: () => {}, onDamaged })
  t.same(host.workers, [])
  t.equal(readJoinFile(env, onDamaged), undefined)
  t.same(kept, ['workers.json.damaged true', 'join.json.damaged true'])
  t.ok(existsSync(join(dir, 'run/llambo/join.json.damaged')))
  t.equal(readJoinFile(env, onDamaged), undefined)
  t.equal(kept.length, 2, 'a damaged file is reported once')
  await host.close()
})

t.test('a host that closes leaves no worker behind', async t => {
  const { host, parent, dir } = await rig(t)
  host.spawn('default', 2)
  await parent.next()
  const pids = host.workers.map(({ pid }) => pid!)
  await host.close()
  for (const pid of pids) t.notOk(isAlive({ pid, born: undefined }))
  t.same(JSON.parse(readFileSync(join(dir, 'run/llambo/workers.json'), 'utf8')).workers, [])
})

t.test('a machine has a name that a tree can hold, and a permanent id', async t => {
  const rows: readonly (readonly [string, string])[] = [
    ['alpha', 'alpha'],
    ['Alpha.example.org', 'alpha'],
    ['my box', 'my-box'],
    ['_x', 'x'],
    ['Ångström', 'ngstr-m'],
    ['', 'host'],
    ['...', 'host'],
    ['a'.repeat(100), 'a'.repeat(64)],
  ]
  for (const [full, name] of rows) t.equal(hostName(full), name, full)
  const { dir, env } = place(t)
  const id = machineIdentity(env).id
  t.match(id, /^[0-9a-f-]{36}$/)
  t.equal(machineIdentity(env).id, id)
  writeFileSync(join(dir, '.local/state/llambo/host-id'), 'rubbish\n')
  const kept: string[] = []
  const other = machineIdentity(env, 'host-id', name => kept.push(name)).id
  t.same(kept, ['host-id.damaged', 'host-secret.damaged'])
  t.not(other, id)
  t.equal(machineIdentity(env).id, other)
})
