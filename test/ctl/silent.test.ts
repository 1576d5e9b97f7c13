/** Tests clients of a server that stops answering. */
import { createServer, type Socket } from 'node:net'
import { setTimeout as later } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { listen } from '../../fs/dial.js'
import { pack } from '../../fs/wire/message.js'
import { ForeignServer, manners } from '../foreign.js'
import { Home, type Result } from './fixture.js'

const program = (name: string) => [fileURLToPath(new URL(`../../${name}/${name}.js`, import.meta.url))]

/** A unix socket that accepts connections and answers the first data with `said`, which may be empty. */
async function socket(t: Test, path: string, said: Uint8Array): Promise<string> {
  const open = new Set<Socket>()
  const server = createServer(socket => {
    open.add(socket)
    socket.on('error', () => {}).once('data', () => socket.write(said))
  })
  await new Promise<void>(resolve => server.listen(path, resolve))
  t.teardown(() => {
    for (const socket of open) socket.destroy()
    server.close()
  })
  return `unix!${path}`
}

t.test('a server that accepts connections and does not answer is given up, with the remedy', async t => {
  const home = new Home(t)
  const mute = await socket(t, home.path('mute'), new Uint8Array())
  // this server agrees on a version and then does not answer Tattach
  const version = pack({ type: 'Rversion', tag: 0xffff, msize: 8192, version: '9P2000.u' }, '9P2000.u')
  const halting = await socket(t, home.path('halting'), version)
  const runs = await Promise.all([
    home.ctl('--at', mute, 'status'),
    home.ctl('--at', mute, 'rdwr', 'data', 'hi'),
    home.ctl('--at', halting, 'ls', '/'),
  ])
  for (const run of runs)
    t.match(run, {
      code: 3,
      stderr: /^llamboctl: unix!\S+ accepted the connection but did not answer within 10 s; .*up -d/,
    })
})

/**
 * A server with the files of llambo, which accepts every attach and does not answer the messages that match `stuck`.
 */
async function hanging(t: Test, home: Home, name: string, stuck: RegExp) {
  const server = new ForeignServer(manners.go9p)
  for (const file of ['status', 'metrics', 'event', 'ctl', 'data']) server.add(file, 'x\n')
  for (const folder of ['models', 'task', 'session']) server.add(folder)
  server.add('session/clone', '7\n')
  server.stuck = stuck
  const address = `unix!${home.path(name)}`
  const { close } = await listen(address, transport => server.serve(transport))
  t.teardown(close)
  return { server, address }
}

t.test('a server that hangs after the attach is given up by commands that read a control file', async t => {
  const home = new Home(t)
  const { address } = await hanging(t, home, 'reads', /^(Tread|Tflush) /)
  const { address: walks } = await hanging(t, home, 'walks', /^(Twalk|Tflush) /)
  const ctl = (...args: string[]) => home.ctl('--at', address, ...args)
  const start = (name: string, ...args: string[]) => {
    const run = home.start(args, { LLAMBO: address }, program(name))
    run.child.stdin?.end()
    return run.ended
  }
  const [dish, ...runs] = await Promise.all([
    start('dish', '-c', 'status'),
    start('limbot', 'hi'),
    ...['status', 'metrics', 'nodes', 'health', 'logs', 'models', 'strategy'].map(name => ctl(name)),
    ...[['status'], ['ls', 'models'], ['stat', 'status']].map(args => home.ctl('--at', walks, ...args)),
  ])
  t.match(dish, { code: 1, stderr: /status: no answer within 20 s/ })
  for (const { code, stderr } of runs as Result[]) {
    t.equal(code, 3, stderr)
    t.match(
      stderr,
      /^\w+: \/n\/llambo(\/[\w/]+)?: unix!\S+ accepted the connection but did not answer within 20 s; .*up -d\n/,
    )
  }
})

t.test('Ctrl-C ends commands that wait for a server that hangs', async t => {
  const home = new Home(t)
  const { server, address } = await hanging(t, home, 'reads', /^(Tread|Tflush) /)
  const runs = [
    home.start(['--at', address, 'status']),
    home.start(['--at', address, 'logs', '-f']),
    home.start(['--at', address, 'cat', 'data']),
    home.start(['-c', 'status'], { LLAMBO: address }, program('dish')),
    home.start(['hi'], { LLAMBO: address }, program('limbot')),
  ]
  for (const { child } of runs) child.stdin?.end()
  const reads = () => server.requests.filter(line => line.startsWith('Tread ')).length
  while (reads() < runs.length) await later(20)
  for (const { child } of runs) child.kill('SIGINT')
  for (const run of runs) t.match(await run.ended, { code: 130 })
})

t.test('rdwr of a generate that ends in an error event prints the events and exits with 1 and the error', async t => {
  const home = new Home(t)
  await home.up()
  const request = (deadline_ms: number) => JSON.stringify({ prompt: 'word x400', max_tokens: 400, deadline_ms })
  t.match(await home.feed(request(60_000), 'rdwr', 'generate'), { code: 0, stderr: '' })
  await home.ctl('down')
  await home.start(['up'], { LLAMBO_ENGINE_RATE: '20' }).says(/listening on ws/)
  const late = await home.feed(request(1_000), 'rdwr', 'generate')
  t.match(late, { code: 1, stderr: /^llamboctl: deadline of 1000 ms passed\n$/, stdout: /"event":"error"[^\n]*\n$/ })
})
