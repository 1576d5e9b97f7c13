/** The HTTP listener: which requests become WebSockets, and how the others are refused. */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import net, { type Socket } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import WebSocket from 'ws'
import { Client } from '../../fs/client/client.js'
import type { User } from '../../fs/file.js'
import { text } from '../../fs/kit/content.js'
import { dir } from '../../fs/kit/dir.js'
import { serve } from '../../fs/server/server.js'
import { dialWebSocket } from '../../fs/transport/websocket.js'
import type { Transport } from '../../fs/transport.js'
import { type HttpOptions, listenHttp } from '../../mnt/http.js'
import { HEADERS_TIMEOUT_MS, MAX_HEAD, MAX_UNPROVEN } from '../../mnt/limits.js'

const token = 'llb_the-right-one'
const user: User = { name: 'ada', uid: 1000, role: 'use' }

/** A listener that accepts one token and is closed with the test; its connections are in `accepted`. */
async function listening(t: Test, o: Partial<HttpOptions> = {}) {
  const accepted: { transport: Transport; user: User }[] = []
  const listener = await listenHttp({
    host: '127.0.0.1',
    port: 0,
    authenticate: given => (given === token ? user : undefined),
    accept: (transport, user) => accepted.push({ transport, user }),
    ...o,
  })
  t.teardown(async () => {
    for (const { transport } of accepted) transport.destroy()
    await listener.close()
  })
  const port = Number(new URL(listener.address).port)
  return { ...listener, port, accepted }
}

const upgrade = (port: number, more: Record<string, string> = {}, path = '/9p') => {
  const headers = {
    Host: `127.0.0.1:${port}`,
    Connection: 'Upgrade',
    Upgrade: 'websocket',
    'Sec-WebSocket-Version': '13',
    'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
    Authorization: `Bearer ${token}`,
    ...more,
  }
  const lines = Object.entries(headers).filter(([, value]) => value !== '')
  return `GET ${path} HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`
}

/** Sends text and returns everything the server sends until it closes the connection or accepts an upgrade. */
function exchange(port: number, request: string, keep?: (socket: Socket) => void): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(port, '127.0.0.1', () => socket.write(request))
    let answer = ''
    socket.on('data', data => {
      answer += data
      if (/^HTTP\/1.1 101[\s\S]*\r\n\r\n/.test(answer)) {
        if (keep) keep(socket)
        else socket.destroy()
        resolve(answer)
      }
    })
    socket.on('close', () => resolve(answer))
    socket.on('error', e => (answer ? resolve(answer) : reject(e)))
  })
}

const statusOf = async (port: number, request: string) => Number((await exchange(port, request)).split(' ')[1])

t.test('a WebSocket with a valid token is accepted, with the token’s user', async t => {
  const { port, accepted, address } = await listening(t)
  t.equal(address, `ws://127.0.0.1:${port}/9p`)
  t.equal(await statusOf(port, upgrade(port)), 101)
  t.match(accepted, [{ user }])
})

t.test('a missing or wrong token is refused after a second, and a token in the URL is not looked at', async t => {
  const { port, accepted } = await listening(t)
  const began = performance.now()
  const answers = await Promise.all([
    exchange(port, upgrade(port, { Authorization: '' })),
    exchange(port, upgrade(port, { Authorization: 'Bearer llb_wrong' })),
    exchange(port, upgrade(port, { Authorization: `Basic ${token}` })),
    exchange(port, upgrade(port, { Authorization: '', 'Sec-WebSocket-Protocol': '9p, bearer.llb_wrong' })),
  ])
  for (const answer of answers) {
    t.equal(
      answer,
      'HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer\r\nContent-Length: 0\r\nConnection: close\r\n\r\n',
    )
  }
  t.ok(performance.now() - began > 950)
  t.equal(await statusOf(port, upgrade(port, { Authorization: '' }, `/9p?token=${token}`)), 404)
  t.equal(accepted.length, 0)
})

t.test('a foreign Origin is refused even with a valid token, the server’s own is accepted', async t => {
  const { port } = await listening(t)
  for (const origin of [
    'https://evil.example',
    'null',
    `https://127.0.0.1:${port}`,
    `http://127.0.0.1:${port + 1}`,
    'http://127.0.0.1',
    `http://localhost:${port}`,
  ]) {
    t.equal(await statusOf(port, upgrade(port, { Origin: origin })), 403, origin)
  }
  t.equal(await statusOf(port, upgrade(port, { Origin: `http://127.0.0.1:${port}` })), 101)
})

t.test('a foreign Host is refused even with a valid token', async t => {
  const { port } = await listening(t)
  for (const host of [
    'rebind.evil.example',
    `rebind.evil.example:${port}`,
    '127.0.0.1.evil.example',
    'localhost.evil.example',
    '192.168.0.1',
    '127.0.0.1:x',
    'localhost:1:2',
    '[::1',
    '@localhost',
  ]) {
    t.equal(await statusOf(port, upgrade(port, { Host: host })), 403, host)
    t.equal(await statusOf(port, upgrade(port, { Host: host, Origin: `http://${host}` })), 403, `${host} as Origin too`)
  }
  t.equal(await statusOf(port, upgrade(port, { Host: '' })), 403, 'no Host header')
})

t.test('a Host that is a loopback name or a configured name is accepted, in any case and with any port', async t => {
  const { port } = await listening(t, { names: ['Alpha.example'] })
  for (const host of [
    'localhost',
    'LOCALHOST:80',
    '127.0.0.1',
    '127.1.2.3:9',
    `[::1]:${port}`,
    'alpha.example',
    'ALPHA.example:443',
  ]) {
    t.equal(await statusOf(port, upgrade(port, { Host: host })), 101, host)
  }
})

t.test('a server on all addresses accepts only the address that was dialled as its Host', async t => {
  const { port } = await listening(t, { host: '0.0.0.0' })
  t.equal(await statusOf(port, upgrade(port, { Host: `127.0.0.1:${port}` })), 101)
  t.equal(await statusOf(port, upgrade(port, { Host: '10.1.2.3' })), 403)
  t.equal(await statusOf(port, upgrade(port, { Host: '0.0.0.0' })), 403)
  t.equal(await statusOf(port, upgrade(port, { Host: 'some.example' })), 403)
})

t.test('every path except /9p gets an empty 404', async t => {
  const { port } = await listening(t)
  for (const path of ['/', '/9p/', '/9P', '/9p?', '//9p', '/index.html', '/../9p', '/%39p', 'http://127.0.0.1/9p']) {
    t.equal(await statusOf(port, upgrade(port, {}, path)), 404, path)
  }
  const post = 'POST /v1/models HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\nExpect: 100-continue\r\n\r\n'
  t.match(
    await exchange(port, post),
    /^HTTP\/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n(Date: .*\r\n)?\r\n$/,
  )
})

t.test('a plain request for /9p gets 426, but its Host is checked first', async t => {
  const { port } = await listening(t)
  t.match(
    await exchange(port, 'GET /9p HTTP/1.1\r\nHost: localhost\r\n\r\n'),
    /^HTTP\/1.1 426 [\s\S]*Upgrade: websocket\r\n[\s\S]*\r\n\r\n$/,
  )
  t.equal(await statusOf(port, 'GET /9p HTTP/1.1\r\nHost: evil.example\r\n\r\n'), 403)
  t.equal(await statusOf(port, upgrade(port, { Upgrade: 'h2c' })), 426)
  t.equal(await statusOf(port, upgrade(port).replace('GET', 'POST')), 426)
})

/** A listener that also accepts one token at /join. */
async function joinable(t: Test, o: Partial<HttpOptions> = {}) {
  const joined: Transport[] = []
  t.teardown(() => {
    for (const transport of joined) transport.destroy()
  })
  const join = { verify: (given: string) => given === 'llb_join', accept: (at: Transport) => void joined.push(at) }
  return { ...(await listening(t, { join, ...o })), joined }
}
const asJoiner = { Authorization: 'Bearer llb_join' }

t.test('a join token is accepted at /join and only there', async t => {
  const { port, accepted, joined } = await joinable(t)
  t.equal(await statusOf(port, upgrade(port, asJoiner, '/join')), 101)
  t.same([joined.length, accepted.length], [1, 0])
  t.equal(await statusOf(port, upgrade(port, asJoiner)), 401, 'a join token does not open the tree')
  t.equal(await statusOf(port, upgrade(port, {}, '/join')), 401, 'a token for the tree does not let its holder join')
  t.same([joined.length, accepted.length], [1, 0])
})

t.test('a wrong token at /join is refused as at /9p, even if the tree needs no token', async t => {
  const { port, joined } = await joinable(t, { authenticate: () => user })
  t.equal(await statusOf(port, upgrade(port, { Authorization: '' })), 101, 'the tree is open')
  const began = performance.now()
  const answers = await Promise.all(
    ['', 'Bearer llb_wrong', `Bearer ${token}`, 'Basic llb_join'].map(Authorization =>
      exchange(port, upgrade(port, { Authorization }, '/join')),
    ),
  )
  for (const answer of answers)
    t.equal(
      answer,
      'HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer\r\nContent-Length: 0\r\nConnection: close\r\n\r\n',
    )
  t.ok(performance.now() - began > 950)
  t.equal(joined.length, 0)
})

t.test('a request with an Origin or a foreign Host cannot join', async t => {
  const { port, joined } = await joinable(t)
  for (const Origin of ['https://evil.example', 'null', `http://127.0.0.1:${port}`])
    t.equal(await statusOf(port, upgrade(port, { ...asJoiner, Origin }, '/join')), 403, Origin)
  t.equal(await statusOf(port, upgrade(port, { ...asJoiner, Host: 'evil.example' }, '/join')), 403)
  t.equal(await statusOf(port, 'GET /join HTTP/1.1\r\nHost: localhost\r\n\r\n'), 426)
  for (const path of ['/join/', '/join?token=llb_join', '/JOIN', '/9p/join'])
    t.equal(await statusOf(port, upgrade(port, asJoiner, path)), 404, path)
  t.equal(joined.length, 0)
})

t.test('/join is a 404 on a server that accepts no peers', async t => {
  const { port } = await listening(t)
  t.equal(await statusOf(port, upgrade(port, {}, '/join')), 404)
})

t.test('one address may hold only MAX_UNPROVEN sockets that have not shown a join token', async t => {
  const { port, joined } = await joinable(t)
  const sockets: Socket[] = []
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
  })
  await exchange(port, upgrade(port, asJoiner, '/join'), socket => sockets.push(socket))
  // each waits a second for its 401, and counts as unproven for that time
  const refused = Array.from({ length: MAX_UNPROVEN }, () => exchange(port, upgrade(port, {}, '/join')))
  let hungUp = 0
  while (hungUp === 0) {
    const answer = await exchange(port, upgrade(port, asJoiner, '/join')).catch(e => e.code === 'ECONNRESET' && '')
    if (answer === '') hungUp++
  }
  t.equal(hungUp, 1)
  for (const answer of await Promise.all(refused)) t.match(answer, /^(HTTP\/1.1 401|$)/)
  // the answer arrives before the server has released the socket
  const admitted = () =>
    statusOf(port, upgrade(port, asJoiner, '/join')).then(
      status => status || 0,
      () => 0,
    )
  let status = await admitted()
  for (let tries = 0; status === 0 && tries < 100; tries++) {
    await sleep(100)
    status = await admitted()
  }
  t.equal(status, 101, 'when they are gone there is room again')
  t.ok(joined.length >= 2)
})

t.test('a peer that joins is the 9P server, and the listener is its client', async t => {
  const owner = { name: 'worker', uid: 0 }
  const root = dir(new Map([['status', text(() => 'server kind=worker\n', { owner })]]), owner)
  let joined!: (transport: Transport) => void
  const parent = new Promise<Transport>(resolve => {
    joined = resolve
  })
  const { port } = await listening(t, { join: { verify: given => given === 'llb_join', accept: joined } })
  const transport = await dialWebSocket(`ws://127.0.0.1:${port}/join`, { token: 'llb_join' })
  const session = serve(transport, { attach: () => ({ root, user: { ...owner, role: 'admin' } }) })
  const client = await Client.connect(await parent)
  const files = await client.attach({ uname: 'parent' })
  t.equal(Buffer.from(await files.readFile('status')).toString(), 'server kind=worker\n')
  client.close()
  await session.closed
})

t.test('a preflight request of another site gets 403 without a CORS header', async t => {
  const { port } = await listening(t)
  const request =
    'OPTIONS /9p HTTP/1.1\r\nHost: localhost\r\nOrigin: https://evil.example\r\nAccess-Control-Request-Method: GET\r\n\r\n'
  const answer = await exchange(port, request)
  t.match(answer, /^HTTP\/1.1 403/)
  t.notMatch(answer, /access-control/i)
})

t.test('a browser can send its token as a subprotocol, and the server chooses only 9p', async t => {
  const { port, accepted } = await listening(t)
  const socket = new WebSocket(`ws://127.0.0.1:${port}/9p`, ['9p', `bearer.${token}`], {
    origin: `http://127.0.0.1:${port}`,
  })
  await new Promise((resolve, reject) => socket.on('open', resolve).on('error', reject))
  t.equal(socket.protocol, '9p')
  t.match(accepted, [{ user }])
  socket.terminate()
})

t.test('an upgrade with an invalid WebSocket handshake gets 400', async t => {
  const { port, accepted } = await listening(t)
  t.equal(await statusOf(port, upgrade(port, { 'Sec-WebSocket-Key': 'short' })), 400)
  t.equal(await statusOf(port, upgrade(port, { 'Sec-WebSocket-Version': '7' })), 400)
  t.equal(accepted.length, 0)
})

t.test('a head that is too long gets 431, and bytes that are not HTTP get 400', async t => {
  const { port } = await listening(t)
  t.equal(await statusOf(port, upgrade(port, { Cookie: 'x'.repeat(MAX_HEAD) })), 431)
  t.equal(await statusOf(port, '\x13\0\0\0d\xff\xff\0\x20\0\0\x06\x009P2000'), 400)
})

t.test('a request whose head does not end gets 408', { timeout: 2 * HEADERS_TIMEOUT_MS }, async t => {
  const { port } = await listening(t)
  const began = performance.now()
  t.match(await exchange(port, 'GET /9p HTTP/1.1\r\nHost: localhost\r\n'), /^HTTP\/1.1 408/)
  const took = performance.now() - began
  t.ok(took < HEADERS_TIMEOUT_MS + 2000, `${took.toFixed(0)} ms`)
})

t.test('one address may hold only MAX_UNPROVEN sockets without a token; those with one do not count', async t => {
  const { port, accepted } = await listening(t)
  const sockets: Socket[] = []
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
  })
  for (let i = 0; i < 5; i++) await exchange(port, upgrade(port), socket => sockets.push(socket))
  t.equal(accepted.length, 5)
  const idle = await Promise.all(
    Array.from(
      { length: MAX_UNPROVEN },
      () =>
        new Promise<Socket>(resolve => {
          const socket = net.connect(port, '127.0.0.1', () => resolve(socket))
          socket.on('error', () => undefined)
          sockets.push(socket)
        }),
    ),
  )
  // the server has seen all of these when it refuses a later one
  t.equal(
    await exchange(port, upgrade(port)).catch(e => e.code === 'ECONNRESET' && ''),
    '',
    'the next connection is closed',
  )
  idle[0]!.destroy()
  // there is room as soon as the server has seen that
  const room = () => statusOf(port, upgrade(port)).catch(error => error.code)
  while ((await room()) !== 101) await new Promise(resolve => setTimeout(resolve, 10))
  t.pass('a closed connection makes room')
})

t.test('closing the listener drops connections without a token and keeps accepted ones', async t => {
  const { port, close } = await listening(t)
  let inside: Socket | undefined
  await exchange(port, upgrade(port), socket => (inside = socket))
  const outside = net.connect(port, '127.0.0.1')
  await new Promise(resolve => outside.on('connect', resolve))
  await new Promise(resolve => setTimeout(resolve, 20))
  const gone = new Promise(resolve => outside.on('close', resolve))
  outside.on('error', () => undefined)
  await close()
  await gone
  t.notOk(inside?.destroyed)
  await t.rejects(exchange(port, upgrade(port)), { code: 'ECONNREFUSED' })
  inside?.destroy()
})

t.test('listening on a port that is in use fails with EADDRINUSE', async t => {
  const { port } = await listening(t)
  await t.rejects(listening(t, { port }), { code: 'EADDRINUSE' })
})

t.test('a 9P session over a WebSocket has the token’s user', async t => {
  const { address } = await listening(t, {
    accept: (transport, user) => {
      const owner = { name: 'server', uid: 0 }
      const whoami = text(ctx => `${ctx.user.name} ${ctx.user.role}\n`, { owner })
      const root = dir(new Map([['whoami', whoami]]), owner)
      serve(transport, { user, attach: who => ({ root, user: who.user! }) })
    },
  })
  const transport = await dialWebSocket(address, { token })
  const client = await Client.connect(transport)
  const root = await client.attach({ uname: 'somebody-else' })
  t.equal(Buffer.from(await root.readFile('whoami')).toString(), 'ada use\n')
  client.close()
  await t.rejects(dialWebSocket(address, { token: 'llb_wrong' }))
})

t.test('a listener with TLS accepts only TLS 1.3, and checks requests in the same way', async t => {
  const where = t.testdir()
  const [cert, key] = [join(where, 'cert.pem'), join(where, 'key.pem')]
  const made = spawnSync('openssl', [
    'req',
    '-x509',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:P-256',
    '-nodes',
    '-keyout',
    key,
    '-out',
    cert,
    '-days',
    '1',
    '-subj',
    '/CN=localhost',
    '-addext',
    'subjectAltName=DNS:localhost,IP:127.0.0.1',
  ])
  if (made.status !== 0)
    return void t.pass('cannot be tried here', {
      skip: `no openssl to make a certificate with: ${made.error ?? made.stderr}`,
    })
  const tls = { cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8') }
  const { address, port, accepted } = await listening(t, { tls })
  t.equal(address, `wss://127.0.0.1:${port}/9p`)
  const open = (options: object) =>
    new Promise<string>(resolve => {
      const socket = new WebSocket(address, '9p', {
        ca: tls.cert,
        headers: { Authorization: `Bearer ${token}` },
        ...options,
      })
      socket.on('open', () => resolve('open')).on('error', e => resolve(e.message))
      t.teardown(() => socket.terminate())
    })
  t.equal(await open({}), 'open')
  t.equal(await open({ origin: `https://127.0.0.1:${port}` }), 'open')
  t.match(await open({ origin: `http://127.0.0.1:${port}` }), /403/)
  t.match(await open({ maxVersion: 'TLSv1.2' }), /protocol version/)
  t.equal(accepted.length, 2)
  t.ok(
    accepted.every(({ transport }) => transport.extra! > 0),
    'the memory of the encryption counts',
  )
  await t.rejects(listening(t, { tls: { ...tls, key: 'nonsense' } }), {
    message: /^bad argument: tls.cert and tls.key: /,
  })
})
