/** Tests the listeners of a server and what they demand. */
import { readFileSync } from 'node:fs'
import t from 'tap'
import { Home } from './fixture.js'

t.test('a listener that would admit strangers is refused with the remedy', async t => {
  const home = new Home(t)
  const half = home.file('half.yaml', 'tls: {cert: /etc/cert.pem}\n')
  const rows: readonly (readonly [string[], RegExp])[] = [
    [['--listen', 'ws://0.0.0.0:0/9p'], /other machines.*TLS \(wss:/],
    [['--listen', 'tcp!0.0.0.0!0'], /other machines.*TLS \(wss:/],
    [['--listen', 'ws://[::]:0/9p'], /other machines.*TLS/],
    [['--listen', 'tcp!example.com!0', '--auth', 'none'], /a token \(auth: token\) and TLS/],
    [['--listen', 'wss://0.0.0.0:0/9p', '--auth', 'none'], /a token \(auth: token\); or/],
    [
      ['--listen', 'wss://0.0.0.0:0/9p', '--config', half],
      /tls\.cert is set but tls\.key is not; set both, or neither/,
    ],
    [['--listen', 'http://127.0.0.1:1'], /http/],
  ]
  for (const [args, says] of rows) {
    const { code, stderr } = await home.ctl('up', ...args)
    t.equal(code, 2, args.join(' '))
    t.match(stderr, says)
  }
})

t.test('all listeners except the unix socket demand a token, which our own tools find', async t => {
  const home = new Home(t)
  const run = await home.up('--listen', 'ws://127.0.0.1:0/9p', '--listen', 'tcp!127.0.0.1!0')
  const at = [...run.stderr.matchAll(/listening on (\S+)/g)].map(match => match[1]!)
  t.equal(at.length, 3)
  for (const address of at) {
    t.equal((await home.ctl('--at', address, 'rdwr', 'data', 'hi')).stdout, '0:hi\n', address)
  }
  for (const address of at.slice(1)) {
    const stranger = home.start(['--at', address, 'status'], { LLAMBO_TOKEN: `llb_${'x'.repeat(43)}` })
    t.match(await stranger.ended, { code: 4, stderr: /authentication required.*; set LLAMBO_TOKEN to a token/ })
  }
})

t.test('our own tools know the certificate of our own server, and need the fingerprint of others', async t => {
  const home = new Home(t)
  const run = await home.up('--listen', 'wss://127.0.0.1:0/9p')
  const [, address = ''] = /listening on (wss:\S+)/.exec(run.stderr) ?? []
  t.equal((await home.ctl('--at', address, 'rdwr', 'data', 'hi')).stdout, '0:hi\n')
  const { fingerprint } = JSON.parse(readFileSync(home.path('run/llambo/server.json'), 'utf8'))
  const LLAMBO_TOKEN = readFileSync(home.path('.local/state/llambo/token'), 'utf8').trim()
  const other = new Home(t)
  const ask = (env: NodeJS.ProcessEnv) =>
    other.start(['--at', address, 'rdwr', 'data', 'hi'], { LLAMBO_TOKEN, ...env }).ended
  t.equal((await ask({ LLAMBO_FINGERPRINT: fingerprint })).stdout, '0:hi\n')
  const refused =
    /^llamboctl: certificate refused: .*; set LLAMBO_FINGERPRINT to the right one, which llamboctl invite prints on the machine of the server\n$/
  t.match(await ask({}), { code: 4, stdout: '', stderr: refused })
  t.match(await ask({ LLAMBO_FINGERPRINT: `sha256:${'0'.repeat(64)}` }), { code: 4, stdout: '', stderr: refused })
  t.match(await ask({ LLAMBO_FINGERPRINT: 'x' }), { code: 2, stderr: /fingerprint x: expected sha256: and 64/ })
})

t.test('--auth none admits loopback without a token', async t => {
  const home = new Home(t)
  const run = await home.up('--auth', 'none', '--listen', 'ws://127.0.0.1:0/9p', '--listen', 'tcp!127.0.0.1!0')
  for (const [, address = ''] of run.stderr.matchAll(/listening on ((?:ws|tcp)\S+)/g)) {
    const anyone = home.start(['--at', address, 'rdwr', 'data', 'hi'], { XDG_STATE_HOME: home.path('other') })
    t.match(await anyone.ended, { code: 0, stdout: '0:hi\n' }, address)
  }
})

t.test('a busy port that was asked for fails the start', async t => {
  const home = new Home(t)
  const first = await home.up()
  const [, address = ''] = /listening on (ws:\S+)/.exec(first.stderr) ?? []
  const other = new Home(t)
  t.match(await other.ctl('up', '--listen', address), {
    code: 1,
    stderr: /another program listens there; choose another port/,
  })
})
