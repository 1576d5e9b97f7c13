/** Transports, dial strings, unix sockets, and WebSockets at both ends. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { type AddressInfo, connect, createServer as createSocketServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { WebSocket, WebSocketServer } from 'ws'
import { MAX_WS_MESSAGE } from '../../fs/base/limits.js'
import { dial, listen, parseAddress } from '../../fs/dial.js'
import { browserTransport } from '../../fs/transport/browser.js'
import { transportPair } from '../../fs/transport/pair.js'
import { dialWebSocket, upgradeWebSocket } from '../../fs/transport/websocket.js'
import type { Transport } from '../../fs/transport.js'
import { ways } from './over.js'

const bytes = (s: string) => new TextEncoder().encode(s)

/** An end of a connection that records what it receives. */
class Sink {
  text = ''
  length = 0
  closed: { reason: Error | undefined } | undefined
  drains = 0
  #wake = () => {}

  constructor(readonly transport: Transport) {
    transport.ondata = chunk => {
      this.length += chunk.length
      if (this.length < 10_000) this.text += new TextDecoder().decode(chunk)
      this.#wake()
    }
    transport.onclose = reason => {
      assert.ok(!this.closed, 'onclose is called once')
      this.closed = { reason }
      this.#wake()
    }
    transport.ondrain = () => {
      this.drains++
      this.#wake()
    }
  }

  async until(what: () => boolean): Promise<void> {
    while (!what())
      await new Promise<void>(resolve => {
        this.#wake = resolve
      })
  }
}

/** Both ends of a connection. */
async function ends(name: string, t: Test): Promise<[ours: Transport, theirs: Transport]> {
  let accepted!: (transport: Transport) => void
  const theirs = new Promise<Transport>(resolve => {
    accepted = resolve
  })
  const way = await ways[name]!(transport => accepted(transport))
  t.teardown(() => way.close())
  return [await way.dial(), await theirs]
}

for (const name of Object.keys(ways)) {
  t.test(`${name}: bytes arrive in order, and those that arrive before ondata is set are not lost`, async t => {
    const [ours, theirs] = await ends(name, t)
    ours.send([[bytes('one ')], [bytes('two '), bytes('three ')]])
    ours.send([[bytes('four')]])
    await new Promise(resolve => setTimeout(resolve, 20))
    const sink = new Sink(theirs)
    await sink.until(() => sink.text.length >= 18)
    t.equal(sink.text, 'one two three four')
    const back = new Sink(ours)
    theirs.send([[bytes('and back')]])
    await back.until(() => back.length === 8)
    ours.destroy()
  })

  t.test(`${name}: close sends what is queued, then both ends close without a reason`, async t => {
    const [ours, theirs] = await ends(name, t)
    const [a, b] = [new Sink(ours), new Sink(theirs)]
    const large = new Uint8Array(700_000)
    ours.send([[bytes('head')], [large]])
    ours.close()
    await b.until(() => b.closed !== undefined)
    await a.until(() => a.closed !== undefined)
    t.equal(b.length, 700_004)
    t.same([a.closed?.reason, b.closed?.reason], [undefined, undefined])
    ours.send([[bytes('after')]])
    ours.close()
    ours.destroy(new Error('late'))
  })

  t.test(`${name}: destroy closes at once, with its reason at this end`, async t => {
    const [ours, theirs] = await ends(name, t)
    const [a, b] = [new Sink(ours), new Sink(theirs)]
    ours.destroy(new Error('enough'))
    await a.until(() => a.closed !== undefined)
    t.match(a.closed?.reason, { message: 'enough' })
    await b.until(() => b.closed !== undefined)
  })

  t.test(`${name}: a paused end holds back the other, whose queue is counted and drains after the resume`, async t => {
    const [ours, theirs] = await ends(name, t)
    const [a, b] = [new Sink(ours), new Sink(theirs)]
    theirs.send([[bytes('ready')]])
    await a.until(() => a.length === 5)
    theirs.pause()
    const one = new Uint8Array(1_000_000)
    for (let i = 0; i < 16; i++) ours.send([[one]])
    await new Promise(resolve => setTimeout(resolve, 100))
    // kernels and WebSockets buffer some of it, but not all
    t.ok(ours.queued > 1_000_000, `${ours.queued} bytes wait`)
    t.ok(b.length < 16_000_000)
    const before = b.length
    await new Promise(resolve => setTimeout(resolve, 30))
    t.equal(b.length, before, 'nothing arrives while paused')
    theirs.resume()
    await b.until(() => b.length === 16_000_000)
    await a.until(() => a.drains > 0)
    t.equal(ours.queued, 0)
    ours.destroy()
  })
}

t.test('a dial string is parsed, or refused with what would be accepted', t => {
  t.same(parseAddress('unix!/run/llambo/9p'), { kind: 'unix', path: '/run/llambo/9p' })
  t.same(parseAddress('unix!/tmp/a!b'), { kind: 'unix', path: '/tmp/a!b' })
  t.same(parseAddress('tcp!127.0.0.1!5640'), { kind: 'tcp', host: '127.0.0.1', port: 5640 })
  t.same(parseAddress('tcp!::1!5640'), { kind: 'tcp', host: '::1', port: 5640 })
  t.same(parseAddress('tcp![::1]!5640'), { kind: 'tcp', host: '::1', port: 5640 })
  t.same(parseAddress('ws://127.0.0.1:5641/9p'), { kind: 'ws', url: 'ws://127.0.0.1:5641/9p' })
  t.same(parseAddress('wss://example.org/9p'), { kind: 'ws', url: 'wss://example.org/9p' })
  const bad: [string, RegExp][] = [
    ['', /address "": expected unix!PATH, tcp!HOST!PORT, ws:/],
    ['localhost:5640', /unix!PATH, tcp!HOST!PORT/],
    ['/run/llambo/9p', /for the path of a socket write unix!\/run\/llambo\/9p/],
    ['unix!', /missing path; expected unix!PATH/],
    [`unix!/${'x'.repeat(200)}`, /the path has 201 bytes, at most 10[37]/],
    ['tcp!localhost', /missing host or port; expected tcp!HOST!PORT/],
    ['tcp!!5640', /missing host or port/],
    ['tcp!localhost!9fs', /expected a port from 0 to 65535, not 9fs/],
    ['tcp!localhost!65536', /expected a port from 0 to 65535, not 65536/],
    ['ws://', /not a valid URL/],
  ]
  for (const [address, why] of bad) t.throws(() => parseAddress(address), { message: why, errno: 22 }, address)
  t.end()
})

t.test('dial fails with the reason if no server listens', async t => {
  const dir = mkdtempSync(join(tmpdir(), '9p-'))
  t.teardown(() => rmSync(dir, { recursive: true }))
  await t.rejects(dial(`unix!${dir}/9p`), {
    message: `cannot reach unix!${dir}/9p: no server listens there`,
    errno: 111,
  })
  const port = await freePort()
  await t.rejects(dial(`tcp!127.0.0.1!${port}`), { message: /no server listens there/ })
  await t.rejects(dial(`ws://127.0.0.1:${port}/9p`), { message: /^cannot reach ws:.*no server listens there/ })
  await t.rejects(dial(`tcp!127.0.0.1!${port}`, {}, AbortSignal.abort()), { message: 'interrupted' })
  await t.rejects(dial(`ws://127.0.0.1:${port}/9p`, {}, AbortSignal.abort()), { message: 'interrupted' })
})

t.test(
  'dial waits for a busy server whose queue is full, also if the time of day jumps, until it is aborted',
  async t => {
    const dir = mkdtempSync(join(tmpdir(), '9p-'))
    t.teardown(() => rmSync(dir, { recursive: true }))
    const path = join(dir, '9p')
    const busy = (ms: number) => {
      const script = `
      require('net').createServer(socket => socket.end()).listen({ path: ${JSON.stringify(path)}, backlog: 1 }, () => {
        require('fs').writeSync(1, 'x')
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ${ms})
      })`
      const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
      t.teardown(() => child.kill('SIGKILL'))
      return once(child.stdout, 'data')
    }
    await busy(700)
    const began = performance.now()
    const dials = Array.from({ length: 8 }, () => dial(`unix!${path}`))
    const { now } = Date
    Date.now = () => now() + 3_600_000
    const all = await Promise.all(dials).finally(() => {
      Date.now = now
    })
    t.ok(performance.now() - began > 300, 'dials beyond the queue have waited')
    for (const transport of all) transport.destroy()

    rmSync(path)
    await busy(60_000)
    const gaveUp = new AbortController()
    const waiting = Array.from({ length: 8 }, () => dial(`unix!${path}`, {}, gaveUp.signal))
    const results = Promise.allSettled(waiting)
    setTimeout(() => gaveUp.abort(), 200)
    const ends = (await results).map(r => (r.status === 'rejected' ? (r.reason as Error).message : 'connected'))
    t.ok(ends.includes('interrupted'), `${ends}`)
    t.same(
      ends.filter(end => end !== 'interrupted' && end !== 'connected'),
      [],
    )
  },
)

t.test('an abort ends a dial that waits', async t => {
  const silent = createSocketServer(() => {})
  await new Promise<void>(resolve => silent.listen(0, '127.0.0.1', resolve))
  t.teardown(() => silent.close())
  const stop = new AbortController()
  const dialling = dial(`ws://127.0.0.1:${(silent.address() as AddressInfo).port}/9p`, {}, stop.signal)
  await once(silent, 'connection')
  stop.abort()
  await t.rejects(dialling, { message: 'interrupted' })
})

t.test('only its owner can use a unix socket: it has mode 0600, in a directory of mode 0700', async t => {
  const dir = mkdtempSync(join(tmpdir(), '9p-'))
  t.teardown(() => rmSync(dir, { recursive: true }))
  const mask = process.umask(0)
  const at = `unix!${dir}/new/9p`
  const listener = await listen(at, transport => transport.destroy())
  process.umask(mask)
  t.equal(listener.address, at)
  t.equal(statSync(`${dir}/new`).mode & 0o777, 0o700)
  t.equal(statSync(`${dir}/new/9p`).mode & 0o777, 0o600)
  t.equal(process.umask(), mask)
  await listener.close()
  t.notOk(existsSync(`${dir}/new/9p`), 'the socket is removed with its listener')
})

t.test('listen replaces a stale unix socket, and refuses a live one and any other file', async t => {
  const dir = mkdtempSync(join(tmpdir(), '9p-'))
  t.teardown(() => rmSync(dir, { recursive: true }))
  const at = `unix!${dir}/9p`
  const accept = (transport: Transport) => transport.destroy()
  await leaveStale(`${dir}/9p`)
  t.ok(statSync(`${dir}/9p`).isSocket())
  const first = await listen(at, accept)
  await t.rejects(listen(at, accept), {
    message: `address in use: ${at}: another server listens there; stop it or choose another`,
    errno: 98,
  })
  const still = await dial(at)
  still.destroy()
  await first.close()
  writeFileSync(`${dir}/9p`, 'precious')
  await t.rejects(listen(at, accept), { message: /is not a socket; remove it or choose another path/ })
  t.equal(statSync(`${dir}/9p`).size, 8)
})

t.test('one of several servers that start together gets a stale socket', async t => {
  const dir = mkdtempSync(join(tmpdir(), '9p-'))
  t.teardown(() => rmSync(dir, { recursive: true }))
  await leaveStale(`${dir}/9p`)
  const results = await Promise.allSettled(
    [1, 2, 3].map(() => listen(`unix!${dir}/9p`, transport => transport.destroy())),
  )
  const won = results.filter(r => r.status === 'fulfilled')
  t.equal(won.length, 1)
  ;(await dial(`unix!${dir}/9p`)).destroy()
  for (const { value } of won) await value.close()
})

t.test('listen refuses a directory in which others may write', async t => {
  const dir = mkdtempSync(join(tmpdir(), '9p-'))
  t.teardown(() => rmSync(dir, { recursive: true }))
  mkdirSync(`${dir}/open`)
  chmodSync(`${dir}/open`, 0o777)
  await t.rejects(
    listen(`unix!${dir}/open/9p`, () => {}),
    { message: `permission denied: other users may write to ${dir}/open; chmod 700 ${dir}/open` },
  )
})

t.test('listen refuses a tcp port in use, and assigns one for port 0', async t => {
  const listener = await listen('tcp!127.0.0.1!0', transport => transport.destroy())
  t.match(listener.address, /^tcp!127\.0\.0\.1![1-9]\d+$/)
  await t.rejects(
    listen(listener.address, () => {}),
    { message: `address in use: ${listener.address}: another server listens there; stop it or choose another` },
  )
  await t.rejects(
    listen('ws://127.0.0.1:1/9p', () => {}),
    { message: /listenHttp/ },
  )
  await listener.close()
})

t.test('closing a listener does not close its connections', async t => {
  let accepted!: (transport: Transport) => void
  const theirs = new Promise<Transport>(resolve => {
    accepted = resolve
  })
  const listener = await listen('tcp!127.0.0.1!0', transport => accepted(transport))
  const ours = new Sink(await dial(listener.address))
  const other = new Sink(await theirs)
  t.match(other.transport.name, /^tcp!127\.0\.0\.1!\d+$/)
  await listener.close()
  await t.rejects(dial(listener.address))
  other.transport.send([[bytes('still here')]])
  await ours.until(() => ours.length === 10)
  ours.transport.destroy()
  await other.until(() => other.closed !== undefined)
})

/** A WebSocket server, and the transport of the first connection to it. */
async function webSocketServer(t: Test) {
  let accepted!: (transport: Transport) => void
  const transport = new Promise<Transport>(resolve => {
    accepted = resolve
  })
  const http = createServer((_request, response) => response.writeHead(404).end())
  let authorization: string | undefined
  http.on('upgrade', async (request, socket, head) => {
    authorization = request.headers.authorization
    if (request.url === '/refused') return socket.end('HTTP/1.1 401 Unauthorized\r\n\r\n')
    upgradeWebSocket(request, socket, head).then(accepted, error =>
      t.match(error, { message: /not a WebSocket handshake/ }),
    )
  })
  await new Promise<void>(resolve => http.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    http.closeAllConnections()
    http.close()
  })
  const url = `ws://127.0.0.1:${(http.address() as AddressInfo).port}/9p`
  return { url, transport, authorization: () => authorization }
}

t.test('WebSocket: each 9P message is sent as one binary message, header and payload together', async t => {
  const { url, transport } = await webSocketServer(t)
  const ws = new WebSocket(url, ['9p'])
  const messages: [string, boolean][] = []
  ws.on('message', (data, binary) => messages.push([String(data), binary]))
  const theirs = new Sink(await transport)
  theirs.transport.send([[bytes('one')], [bytes('head'), bytes('er')]])
  while (messages.length < 2) await once(ws, 'message')
  t.same(messages, [
    ['one', true],
    ['header', true],
  ])
  t.equal(ws.protocol, '9p')
  t.equal(ws.extensions, '', 'no compression')
  // received messages may be split and merged in any way
  ws.send(Buffer.from('ab'))
  ws.send(Buffer.from('c'), { fin: false })
  ws.send(Buffer.from('def'), { fin: true })
  await theirs.until(() => theirs.length === 6)
  t.equal(theirs.text, 'abcdef')
  ws.terminate()
  await theirs.until(() => theirs.closed !== undefined)
})

t.test('WebSocket: a subprotocol is chosen only if it was offered, and a token is never echoed', async t => {
  for (const [offered, chosen] of [
    [[], ''],
    [['9p', 'bearer.secret'], '9p'],
    [['bearer.secret', '9p'], '9p'],
  ] as const) {
    const { url } = await webSocketServer(t)
    const ws = new WebSocket(url, [...offered])
    await once(ws, 'open')
    t.equal(ws.protocol, chosen)
    ws.terminate()
  }
})

t.test('WebSocket: text is refused with 1003, an oversized message with 1009, a broken protocol with 1002', async t => {
  const closedWith = async (misbehave: (ws: WebSocket, theirs: Transport) => void) => {
    const { url, transport } = await webSocketServer(t)
    const ws = new WebSocket(url, ['9p'])
    await once(ws, 'open')
    const theirs = new Sink(await transport)
    misbehave(ws, theirs.transport)
    const [code, why] = await once(ws, 'close')
    await theirs.until(() => theirs.closed !== undefined)
    return { code, why: String(why), reason: theirs.closed?.reason?.message, length: theirs.length }
  }
  t.match(await closedWith(ws => ws.send('hello')), {
    code: 1003,
    why: '9P needs binary messages',
    reason: /9P needs binary messages/,
    length: 0,
  })
  t.match(await closedWith(ws => ws.send(Buffer.alloc(MAX_WS_MESSAGE + 1))), { code: 1009, length: 0 })
  t.match(await closedWith((_, theirs) => theirs.destroy(new Error('size 6'))), {
    code: 1002,
    why: 'size 6',
    reason: 'size 6',
  })
})

t.test('WebSocket: the token is sent in a header, and a refusal has its reason', async t => {
  const { url, transport, authorization } = await webSocketServer(t)
  const ours = await dialWebSocket(url, { token: 'llb_x' })
  t.equal(authorization(), 'Bearer llb_x')
  ours.destroy()
  await transport
  await t.rejects(dialWebSocket(url.replace('/9p', '/refused')), {
    message: /^authentication required: ws:/,
    errno: 13,
  })
  const plain = createServer((_request, response) => response.writeHead(403).end())
  await new Promise<void>(resolve => plain.listen(0, '127.0.0.1', resolve))
  t.teardown(() => plain.close())
  const port = (plain.address() as AddressInfo).port
  await t.rejects(dialWebSocket(`ws://127.0.0.1:${port}/9p`), { message: /answered HTTP 403 instead of a WebSocket/ })
})

t.test('WebSocket: an upgrade without a valid handshake is refused', async t => {
  const { url } = await webSocketServer(t)
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  socket.write('GET /9p HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n')
  const [answer] = await once(socket, 'data')
  t.match(String(answer), /^HTTP\/1.1 400/)
  await once(socket, 'close')
})

t.test('a browser’s WebSocket carries messages, including those sent before it is open', async t => {
  const { url, transport } = await webSocketServer(t)
  const ws = new WebSocket(url, ['9p'])
  const ours = browserTransport(ws)
  ours.send([[bytes('early ')], [bytes('in '), bytes('parts')]])
  t.equal(ours.queued, 14)
  const theirs = new Sink(await transport)
  await theirs.until(() => theirs.length === 14)
  t.equal(theirs.text, 'early in parts')
  const sink = new Sink(ours)
  ours.pause()
  theirs.transport.send([[bytes('hello')]])
  await new Promise(resolve => setTimeout(resolve, 30))
  t.equal(sink.length, 0)
  ours.resume()
  t.equal(sink.text, 'hello')
  ours.send([[new Uint8Array(500_000)]])
  // if the kernel takes all of it at once, there is nothing to drain
  const drains = ours.queued > 0 ? 1 : 0
  await theirs.until(() => theirs.length === 500_014)
  await sink.until(() => sink.drains >= drains)
  ours.close()
  await sink.until(() => sink.closed !== undefined)
  t.equal(sink.closed?.reason, undefined)
  await theirs.until(() => theirs.closed !== undefined)
})

t.test('a browser’s WebSocket closes at a text message, and reports the reason of an abnormal end', async t => {
  const talker = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  t.teardown(() => talker.close())
  talker.on('connection', ws => ws.send('hello'))
  await once(talker, 'listening')
  const { port } = talker.address() as AddressInfo
  const a = new Sink(browserTransport(new WebSocket(`ws://127.0.0.1:${port}`)))
  await a.until(() => a.closed !== undefined)
  t.match(a.closed?.reason, { message: '9P needs binary messages, got a text message' })
  const second = await webSocketServer(t)
  const b = new Sink(browserTransport(new WebSocket(second.url, ['9p'])))
  ;(await second.transport).destroy(new Error('bad message'))
  await b.until(() => b.closed !== undefined)
  t.match(b.closed?.reason, { message: 'bad message' })
})

t.test('the pair delivers in a later turn of the event loop', async t => {
  const [a, b] = transportPair()
  const sink = new Sink(b)
  a.send([[bytes('x')]])
  t.equal(sink.length, 0)
  t.equal(a.queued, 1)
  await sink.until(() => sink.length === 1)
  t.equal(a.queued, 0)
})

/** Leaves a socket file whose server is gone, as after a SIGKILL. */
async function leaveStale(path: string): Promise<void> {
  const { spawn } = await import('node:child_process')
  const code = `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`
  await once(spawn(process.execPath, ['-e', code]), 'exit')
}

async function freePort(): Promise<number> {
  const server = createSocketServer()
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise(resolve => server.close(resolve))
  return port
}
