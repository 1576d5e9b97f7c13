/** Time limits of seconds, tested on a mocked clock. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { mock } from 'node:test'
import t from 'tap'
import { WebSocket } from 'ws'
import { ATTACH_TIMEOUT_MS, CLOSE_TIMEOUT_MS, PING_MS, RFLUSH_TIMEOUT_MS } from '../../fs/base/limits.js'
import { Client } from '../../fs/client/client.js'
import { serve } from '../../fs/server/server.js'
import { transportPair } from '../../fs/transport/pair.js'
import { upgradeWebSocket } from '../../fs/transport/websocket.js'
import type { Transport } from '../../fs/transport.js'
import { ways } from './over.js'
import { connected } from './peer.js'
import { options } from './tree.js'

// These waits take seconds, so their timers are mocked. Sockets use real time.
t.beforeEach(() => mock.timers.enable({ apis: ['setTimeout', 'setInterval'] }))
t.afterEach(() => mock.timers.reset())

const turns = async (n: number) => {
  for (let i = 0; i < n; i++) await new Promise(resolve => setImmediate(resolve))
}

t.test('the client disconnects from a server that never answers a flush', async t => {
  const { client, peer } = await connected()
  const stop = new AbortController()
  const read = client.rpc({ type: 'Tread', fid: 1, offset: 0n, count: 10 }, stop.signal)
  await peer.next('Tread')
  stop.abort()
  await peer.next('Tflush')
  mock.timers.tick(RFLUSH_TIMEOUT_MS - 1)
  await turns(3)
  t.notOk(peer.closed)
  mock.timers.tick(1)
  await t.rejects(read, {
    message: /i\/o on hungup channel: pair!0: the server broke the protocol: no Rflush within 10 s/,
  })
})

t.test('a socket whose peer does not read the last bytes is closed after a time limit', async t => {
  let accepted!: (transport: Transport) => void
  const theirs = new Promise<Transport>(resolve => {
    accepted = resolve
  })
  const way = await ways.tcp!(transport => accepted(transport))
  t.teardown(() => way.close())
  const ours = await way.dial()
  // its ondata is never set, so it reads nothing
  const deaf = await theirs
  const closed = new Promise<void>(resolve => {
    ours.onclose = () => resolve()
  })
  ours.ondata = () => {}
  ours.send([[new Uint8Array(64_000_000)]])
  ours.close()
  await turns(20)
  t.ok(ours.queued > 0)
  mock.timers.tick(CLOSE_TIMEOUT_MS)
  await closed
  deaf.destroy()
})

t.test('a WebSocket whose peer does not answer a ping is closed', async t => {
  let accepted!: (transport: Transport) => void
  const http = createServer()
  http.on('upgrade', (request, socket, head) => void upgradeWebSocket(request, socket, head).then(accepted))
  await new Promise<void>(resolve => http.listen(0, '127.0.0.1', resolve))
  t.teardown(() => http.close())
  const url = `ws://127.0.0.1:${(http.address() as AddressInfo).port}/9p`
  for (const autoPong of [true, false]) {
    const transport = new Promise<Transport>(resolve => {
      accepted = resolve
    })
    const ws = new WebSocket(url, { autoPong })
    await once(ws, 'open')
    const theirs = await transport
    theirs.ondata = () => {}
    const closed = new Promise<Error | undefined>(resolve => {
      theirs.onclose = resolve
    })
    mock.timers.tick(PING_MS)
    await once(ws, 'ping')
    await turns(20)
    mock.timers.tick(PING_MS)
    if (autoPong) {
      await once(ws, 'ping')
      ws.terminate()
      t.notMatch(await closed, { message: /no pong/ })
    } else t.match(await closed, { message: /no pong within 25 s/ })
  }
})

t.test('a client that must present a token is disconnected after a time limit unless it does', async t => {
  const begin = async () => {
    const [ours, theirs] = transportPair()
    let closed = false
    serve(theirs, options(true)).closed.then(() => {
      closed = true
    })
    return { client: await Client.connect(ours), isClosed: () => closed }
  }
  const friend = await begin()
  const root = await friend.client.attach({ uname: 'glenda', token: 'open sesame' })
  const stranger = await begin()
  await t.rejects(stranger.client.attach({ uname: 'glenda', token: 'wrong' }), { message: /^authentication required/ })
  mock.timers.tick(ATTACH_TIMEOUT_MS - 1)
  await turns(3)
  t.notOk(stranger.isClosed())
  mock.timers.tick(1)
  await turns(3)
  t.ok(stranger.isClosed())
  t.match(await root.stat(), { name: '/' })
  t.notOk(friend.isClosed())
  friend.client.close()
})
