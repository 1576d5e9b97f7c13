import { createServer, type Socket } from 'node:net'
import t, { type Test } from 'tap'
import { pack } from '../../fs/message.js'
import { Home } from './fixture.js'

/** A unix socket that accepts and says what a test says, which may be nothing. */
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

t.test('a server that accepts and does not answer is given up, whatever was asked, with the remedy', async t => {
  const home = new Home(t)
  const mute = await socket(t, home.path('mute'), new Uint8Array())
  // this one agrees on a version and then says nothing to Tattach
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
      stderr: /^llamboctl: unix!\S+ accepts connections and does not answer within 10 s; .*up -d/,
    })
})

t.test('rdwr of a generate that ends in an error event exits with 1 and says why, behind the events', async t => {
  const home = new Home(t)
  await home.up()
  const request = (deadline_ms: number) => JSON.stringify({ prompt: 'word x400', max_tokens: 400, deadline_ms })
  t.match(await home.feed(request(60_000), 'rdwr', 'generate'), { code: 0, stderr: '' })
  await home.ctl('down')
  await home.start(['up'], { LLAMBO_ENGINE_RATE: '20' }).says(/listening on ws/)
  const late = await home.feed(request(1_000), 'rdwr', 'generate')
  t.match(late, { code: 1, stderr: /^llamboctl: deadline of 1000 ms passed\n$/, stdout: /"event":"error"[^\n]*\n$/ })
})
