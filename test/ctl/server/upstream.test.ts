/** Tests the connection to a cluster that is joined: tokens, fingerprints and TLS. */
import { createServer as createTlsServer } from 'node:https'
import { type AddressInfo, createServer as createSocketServer } from 'node:net'
import { join } from 'node:path'
import { createServer as createRawTlsServer, type TlsOptions } from 'node:tls'
import t, { type Test } from 'tap'
import { parseFingerprint } from '../../../cli/fingerprint.js'
import type { Config } from '../../../cli/settings.js'
import { type Certificate, certificate } from '../../../ctl/server/certificate.js'
import { type Acceptor, listenAddresses, openListener } from '../../../ctl/server/listeners.js'
import { dialUpstream } from '../../../ctl/server/upstream.js'
import type { Transport } from '../../../fs/transport.js'

const token = 'llb_the-token'
const zeros = `sha256:${'0'.repeat(64)}`

/** A real listener on loopback whose end point to join accepts one token. */
async function cluster(t: Test) {
  const state = t.testdir()
  const config = { listen: ['wss://127.0.0.1:0/9p'], auth: 'token' } as unknown as Config
  const joined: Transport[] = []
  const door: Acceptor = {
    acceptLocal: () => undefined,
    acceptWithToken: () => undefined,
    verify: () => undefined,
    acceptJoin: transport => void joined.push(transport),
    verifyJoin: given => given === token,
    anonymousUser: { name: 'nobody', uid: 1, role: 'read' },
    note: line => t.comment(line),
  }
  const [, item] = listenAddresses(config, { XDG_STATE_HOME: state, XDG_RUNTIME_DIR: '/run' })
  const listener = await openListener(item!, config, door)
  t.teardown(() => listener.close())
  return { address: listener.address.replace('/9p', '/join'), fingerprint: listener.fingerprint!, joined, state }
}

/** A server that poses as the cluster, with a certificate of its own, and keeps everything that it receives. */
async function impostor(t: Test, certificate: Certificate, options: TlsOptions = {}) {
  const heard: Buffer[] = []
  const { cert, key } = certificate
  const server = createRawTlsServer({ cert, key, ...options }, socket => {
    socket.on('data', data => {
      heard.push(data)
      // it closes the connection after the first data
      socket.destroy()
    })
    socket.on('error', () => undefined)
  })
  server.on('tlsClientError', () => undefined)
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  const address = `wss://127.0.0.1:${(server.address() as AddressInfo).port}/join`
  // everything that was sent has been received when all connections are gone
  const quiet = () =>
    new Promise<void>(resolve =>
      server.getConnections((_, open) => (open ? setTimeout(() => quiet().then(resolve), 5) : resolve())),
    )
  const all = async () => {
    await quiet()
    return Buffer.concat(heard).toString()
  }
  return { address, heard: all }
}

t.test('a machine with the fingerprint joins over TLS without an authority', async t => {
  const { address, fingerprint, joined } = await cluster(t)
  const transport = await dialUpstream({ address, token, fingerprint })
  t.equal(joined.length, 1)
  t.equal(transport.name, address)
  transport.destroy()
  await t.rejects(dialUpstream({ address, token: 'llb_wrong', fingerprint }), { message: /^authentication required: / })
  await t.rejects(dialUpstream({ address, fingerprint }), { message: /^authentication required: / })
})

t.test('a server with another certificate gets nothing, and the error has both fingerprints', async t => {
  const real = await cluster(t)
  const other = await certificate({} as Config, join(real.state, 'other'))
  const liar = await impostor(t, other)
  await t.rejects(dialUpstream({ address: liar.address, token, fingerprint: real.fingerprint }), {
    message: `certificate refused: ${liar.address}: the fingerprint of the certificate is ${other.fingerprint}, expected ${real.fingerprint}`,
  })
  t.equal(await liar.heard(), '')
  await t.rejects(dialUpstream({ address: real.address, token, fingerprint: zeros }), {
    message: /^certificate refused: /,
  })
  t.equal(real.joined.length, 0)
  await t.rejects(dialUpstream({ address: liar.address, token, fingerprint: other.fingerprint }))
  t.match(
    await liar.heard(),
    `authorization: Bearer ${token}`,
    'a machine that pins the other certificate sends the token',
  )
})

t.test('a copied certificate without its key is refused', async t => {
  const real = await cluster(t)
  const mine = await certificate({} as Config, join(real.state, 'other'))
  // OpenSSL refuses to serve a certificate with another key, so the true certificate follows the impostor's own
  const theirs = (await certificate({} as Config, join(real.state, 'llambo'))).cert
  const liar = await impostor(t, { ...mine, cert: `${mine.cert}\n${theirs}` })
  await t.rejects(dialUpstream({ address: liar.address, token, fingerprint: real.fingerprint }), {
    message: /^certificate refused: /,
  })
  t.equal(await liar.heard(), '')
})

t.test('without a fingerprint a server that no authority vouches for gets nothing', async t => {
  const state = t.testdir()
  const liar = await impostor(t, await certificate({} as Config, state))
  await t.rejects(dialUpstream({ address: liar.address, token }), {
    message: /^certificate refused: wss:.*self-signed certificate/,
  })
  t.equal(await liar.heard(), '')
})

t.test('TLS before 1.3 is refused', async t => {
  const made = await certificate({} as Config, t.testdir())
  const old = await impostor(t, made, { maxVersion: 'TLSv1.2' })
  await t.rejects(dialUpstream({ address: old.address, token, fingerprint: made.fingerprint }), {
    message: /^cannot reach wss:/,
  })
  t.equal(await old.heard(), '')
})

t.test('a redirect is not followed with the token', async t => {
  const made = await certificate({} as Config, t.testdir())
  const server = createTlsServer({ cert: made.cert, key: made.key })
  server.on('upgrade', (_request, socket) =>
    socket.end('HTTP/1.1 302 Found\r\nLocation: ws://127.0.0.1:1/join\r\nContent-Length: 0\r\n\r\n'),
  )
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  const address = `wss://127.0.0.1:${(server.address() as AddressInfo).port}/join`
  await t.rejects(dialUpstream({ address, token, fingerprint: made.fingerprint }), { message: /answered HTTP 302/ })
})

t.test('an address that cannot be joined at, or whose traffic would go in clear, is not dialled', async t => {
  let came = 0
  const server = createSocketServer(socket => {
    came++
    socket.destroy()
  })
  await new Promise<void>(resolve => server.listen(0, resolve))
  t.teardown(() => server.close())
  const { port } = server.address() as AddressInfo
  for (const [address, why] of [
    [`tcp!127.0.0.1!${port}`, /joining over plain 9P is not supported/],
    [`ws://10.1.2.3:${port}/join`, /not be encrypted; use wss:/],
    [`ws://127.0.0.1.example:${port}/join`, /not be encrypted/],
    [`ws://127.0.0.1:${port}/9p`, /its path must be \/join/],
    [`wss://127.0.0.1:${port}/join?token=x`, /a token must not be in the address/],
    [`wss://llb_x@127.0.0.1:${port}/join`, /a token must not be in the address/],
    [`wss://127.0.0.1:${port}/join#x`, /not a valid/],
    ['http://127.0.0.1/join', /wss:/],
  ] as const)
    await t.rejects(dialUpstream({ address, token }), { message: why }, address)
  await t.rejects(dialUpstream({ address: `ws://127.0.0.1:${port}/join`, token, fingerprint: zeros }), {
    message: /a fingerprint needs TLS/,
  })
  t.equal(came, 0)
})

t.test('an abort signal ends dialling, also during the TLS handshake', async t => {
  const mute = createSocketServer(() => undefined)
  await new Promise<void>(resolve => mute.listen(0, '127.0.0.1', resolve))
  t.teardown(() => mute.close())
  const address = `wss://127.0.0.1:${(mute.address() as AddressInfo).port}/join`
  const controller = new AbortController()
  const dialling = dialUpstream({ address, token, fingerprint: zeros }, controller.signal)
  mute.once('connection', () => controller.abort())
  await t.rejects(dialling, { message: 'interrupted' })
  await t.rejects(dialUpstream({ address, token }, controller.signal), { message: 'interrupted' })
  const gone = createSocketServer(socket => socket.destroy())
  await new Promise<void>(resolve => gone.listen(0, '127.0.0.1', resolve))
  t.teardown(() => gone.close())
  const { port } = gone.address() as AddressInfo
  await t.rejects(dialUpstream({ address: `wss://127.0.0.1:${port}/join`, token }), { message: /^cannot reach wss:/ })
})

t.test('a fingerprint is read in every common notation, and anything else is refused', async t => {
  const hex = 'ab'.repeat(32)
  for (const written of [
    `sha256:${hex}`,
    hex,
    hex.toUpperCase(),
    `sha256 Fingerprint=${'AB:'.repeat(32).slice(0, -1)}`,
    `SHA256:${hex}`,
  ])
    t.equal(parseFingerprint(written), `sha256:${hex}`, written)
  for (const wrong of ['', 'sha256:', `sha256:${hex.slice(1)}`, `sha1:${hex}`, `${hex}0`, 'x'.repeat(64)])
    t.throws(() => parseFingerprint(wrong), { message: /^bad argument: fingerprint .*64 hexadecimal digits/ }, wrong)
})
