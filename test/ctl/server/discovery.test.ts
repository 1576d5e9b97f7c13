/** Tests multicast DNS with machines in network namespaces. */
import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { isPrivate } from '../../../ctl/server/discovery.js'
import { Home, type Run } from '../fixture.js'
import { ip, type Namespaces, namespaces, within } from '../namespaces.js'

const token = { LLAMBO_TOKEN: 'llb_the-token' }
const anywhere = 'wss://0.0.0.0:5641/9p'
const modules = fileURLToPath(new URL('../../../../node_modules/', import.meta.url))

/** Makes the namespaces; where that cannot be done, the test is skipped with the reason. */
function networks(t: Test): Namespaces | undefined {
  const made = namespaces(t)
  if (typeof made !== 'string') return made
  t.pass('cannot be tried here', { skip: made })
  return undefined
}

const machine = (t: Test, namespace: string) =>
  new Home(t, { LLAMBO_LISTEN: anywhere, LLAMBO_WORKERS: '0' }, within(namespace))

const fingerprintOf = (home: Home): string =>
  JSON.parse(readFileSync(home.path('run/llambo/server.json'), 'utf8')).fingerprint

/** Runs JavaScript that has multicast-dns as `mdns`, and dns-packet and dgram. */
const script = (home: Home, code: string): Run =>
  home.start([], {}, [
    '--input-type=module',
    '-e',
    `import { createRequire } from 'node:module'
       const require = createRequire(${JSON.stringify(modules)})
       const mdns = require('multicast-dns'), packet = require('dns-packet'), dgram = require('node:dgram')
       ${code}`,
  ])

t.test(
  'machines on two networks of a server find it by its fingerprint and join at the address on their network',
  async t => {
    const net = networks(t)
    if (!net) return
    const server = machine(t, net.middle)
    const run = server.start(['up'])
    await run.says(/listening on wss/)
    const { token, fingerprint, addresses } = JSON.parse((await server.ctl('invite', '--json')).stdout)
    t.same(addresses, ['wss://10.77.1.1:5641/join', 'wss://10.77.2.1:5641/join'])
    const joining = (namespace: string) =>
      machine(t, namespace).start(['join', '--fingerprint', fingerprint, '--workers', '1'], { LLAMBO_TOKEN: token })
    const [left, right] = [joining(net.left), joining(net.right)]
    await left.says(/joined wss:\/\/10\.77\.1\.1:5641\/join/)
    await right.says(/joined wss:\/\/10\.77\.2\.1:5641\/join/)
    const events = server.start(['cat', 'event'])
    await events.says(/(kind=worker-joined[\s\S]*){2}/)
    await events.says(/(kind=host-joined[\s\S]*){3}/)
    t.equal((await server.ctl('rdwr', 'data', 'hi')).stdout, '0:hi\n')
    for (const one of [left, right]) one.child.kill('SIGINT')
    for (const one of [left, right]) t.equal((await one.ended).code, 0)
    await events.says(/(kind=worker-left[\s\S]*){2}/)
    run.child.kill('SIGTERM')
    t.equal((await run.ended).code, 0)
    t.notMatch(run.stderr, /mDNS|fault:/)
  },
)

t.test('a server that is found is not trusted without a fingerprint, and of several one must be chosen', async t => {
  const net = networks(t)
  if (!net) return
  const [one, two] = [machine(t, net.middle), machine(t, net.right)]
  // the middle namespace is on both networks
  const third = new Home(t, { LLAMBO_LISTEN: 'wss://10.77.2.1:7000/9p', LLAMBO_WORKERS: '0' }, within(net.middle))
  for (const { code } of await Promise.all([one, two, third].map(home => home.ctl('up', '-d')))) t.equal(code, 0)
  const wrong = `sha256:${'0'.repeat(64)}`
  const home = machine(t, net.left)
  t.match(await home.ctl('join'), { code: 4, stderr: /joining requires a token/ })
  const [alone, any, none, apart] = await Promise.all([
    home.start(['join'], token).ended,
    machine(t, net.right).start(['join'], token).ended,
    machine(t, net.right).start(['join', '--fingerprint', wrong], token).ended,
    // loopback is not searched
    machine(t, net.nowhere).start(['join'], token).ended,
  ])
  // a server that listens only on the right network is announced only there
  const refused =
    /found wss:\/\/10\.77\.1\.1:5641\/join .*\n.*certificate refused: .*; give the --fingerprint that llamboctl/
  t.match(alone, { code: 4, stderr: refused })
  t.notMatch(alone.stderr, /sha256/, 'the fingerprint that the server announces is not printed either')
  t.notOk(existsSync(home.path('run/llambo/join.json')))
  t.match(any, {
    code: 2,
    stderr: /found 3 servers; give the address of one: .*wss:\/\/10\.77\.2\.[12]:(5641|7000)/,
  })
  t.match(none, {
    code: 3,
    stderr: /no server with that fingerprint announces itself .* servers: .*wss:\/\/10\.77\.2\.1:7000/,
  })
  t.match(apart, {
    code: 3,
    stderr:
      /no server announces itself on the local network; give the address, as llamboctl invite prints it there: llamboctl join wss:/,
  })
  const chosen = machine(t, net.right).start(['join', '--fingerprint', fingerprintOf(third)], token)
  await chosen.says(/found wss:\/\/10\.77\.2\.1:7000\/join/)
  chosen.child.kill('SIGINT')
  await chosen.ended
})

t.test(
  'a server that stops withdraws its announcement, and one that other machines cannot reach makes none',
  async t => {
    const net = networks(t)
    if (!net) return
    const server = machine(t, net.middle)
    const listener = script(
      machine(t, net.left),
      `const m = mdns({ interface: '10.77.1.2', bind: '0.0.0.0' })
     m.on('response', ({ answers }) => {
       for (const { type, name, ttl, data } of answers)
         if (type === 'PTR' && name === '_llambo._tcp.local') console.log(ttl === 0 ? 'goodbye' : 'hello', data)
     })
     m.on('ready', () => console.log('ready'))`,
    )
    await listener.says(/ready/)
    const id = () => readFileSync(server.path('.local/state/llambo/host-id'), 'utf8').trim()
    t.equal((await server.ctl('up', '-d', '--listen', 'wss://127.0.0.1:5641/9p')).code, 0)
    t.equal((await server.ctl('down')).code, 0)
    const silent = server.start(['up', '-d'], { LLAMBO_MDNS: 'off' })
    t.equal((await silent.ended).code, 0)
    t.equal((await server.ctl('down')).code, 0)
    const asking = script(
      machine(t, net.left),
      `const m = mdns({ interface: '10.77.1.2', bind: '0.0.0.0' })
     m.on('query', ({ questions }) => questions.some(q => q.name === 'end.local') && process.exit())
     m.query('end.local', 'A')`,
    )
    await asking.ended
    t.notMatch(listener.stdout, /hello/)
    t.equal((await server.ctl('up', '-d')).code, 0)
    await listener.says(new RegExp(`hello \\S*${id()}\\._llambo`))
    t.notMatch(listener.stdout, /goodbye/)
    t.equal((await server.ctl('down')).code, 0)
    await listener.says(new RegExp(`goodbye \\S*${id()}\\._llambo`))
  },
)

t.test('a server whose multicast DNS port is taken still serves, and reports it', async t => {
  const net = networks(t)
  if (!net) return
  const blocker = script(
    machine(t, net.middle),
    `const socket = dgram.createSocket('udp4')
     socket.bind(5353, () => console.log('ready'))`,
  )
  await blocker.says(/ready/)
  const server = machine(t, net.middle)
  const run = server.start(['up'])
  await run.says(/mDNS on 10\.77\.1\.1: .*EADDRINUSE/)
  await run.says(/listening on wss/)
  t.match(await server.ctl('status'), { code: 0, stdout: /^server / })
  t.equal((await server.ctl('down')).code, 0)
  t.equal((await run.ended).code, 0)
  blocker.child.kill('SIGKILL')
  for (const step of [['-n', net.middle, 'link', 'set', 'eth0', 'down']]) t.equal(ip(...step), '')
  t.equal((await server.ctl('up', '-d')).code, 0)
  t.equal((await server.ctl('down')).code, 0)
})

t.test('hostile messages to the multicast group do not end a server or a search, and are not printed raw', async t => {
  const net = networks(t)
  if (!net) return
  const server = machine(t, net.middle)
  const run = server.start(['up'])
  await run.says(/listening on wss/)
  // a hostile server, which sends invalid announcements, and the same packets with random bytes changed
  const hostile = script(
    machine(t, net.left),
    `const socket = dgram.createSocket({ type: 'udp4', reuseAddr: true })
     let seed = 1
     const random = n => (seed = (seed * 1103515245 + 12345) % 2147483648) % n
     const type = '_llambo._tcp.local'
     const id = '00000000-0000-4000-8000-00000000000'
     const hex = 'ab'.repeat(32)
     const server = (name, n, txt, port = 5641, srv = {}) => {
       const fqdn = name + '.' + type
       return { type: 'response', answers: [
         { type: 'PTR', name: type, ttl: 100, data: fqdn },
         { type: 'SRV', name: fqdn, ttl: 100, data: { port, target: id + n + '.local', ...srv } },
         { type: 'TXT', name: fqdn, ttl: 100, data: txt.map(text => Buffer.from(text)) },
       ] }
     }
     const good = n => ['id=' + id + n, 'version=0.1.0', 'path=/join', 'fingerprint=sha256:' + hex]
     const packets = [
       server('\\u001b[31mred', 1, good(1)),
       server('a', 2, [...good(2).slice(0, 3), 'fingerprint=sha256:\\u001b[2Jx']),
       server('b', 3, [good(3)[0], 'version=\\u001b]0;x', ...good(3).slice(2)]),
       server('c', 4, good(4).map(text => text.replace('/join', '/../9p@evil.example'))),
       server('d', 5, good(5), 0),
       server('e', 6, []),
       server('f', 7, ['__proto__=x', 'id', '=', '==', 'constructor=1']),
       { type: 'response', answers: [{ type: 'PTR', name: type, ttl: 9, data: '.' }, { type: 'SRV', name: '.', ttl: 9, data: { port: 1, target: '.' } }] },
       { type: 'response', answers: [{ type: 'PTR', name: type, ttl: 9, data: 'x' }, { type: 'TXT', name: 'x', ttl: 9, data: [] }, { type: 'SRV', name: 'x', ttl: 9, data: { port: 1, target: '' } }] },
       { type: 'query', questions: ['ANY', 'PTR', 'SRV', 'TXT', 'A', 'AAAA', 'NSEC'].flatMap(q => ['', '.', type, 'constructor', '__proto__'].map(name => ({ type: q, name }))) },
     ].map(p => packet.encode(p))
     for (let i = 0; i < 400; i++) {
       const bytes = Buffer.from(packets[i % packets.length])
       for (let j = 0; j < 1 + random(8); j++) bytes[random(bytes.length)] = random(256)
       packets.push(bytes.subarray(0, 1 + random(bytes.length)))
     }
     socket.bind(5353, () => {
       socket.setMulticastInterface('10.77.1.2')
       setInterval(() => {
         for (const bytes of packets) socket.send(bytes, 5353, '224.0.0.251')
       }, 200)
       console.log('ready')
     })`,
  )
  await hostile.says(/ready/)
  const joining = await machine(t, net.left).start(['join'], token).ended
  t.match(joining, { code: 4, stderr: /found wss:\/\/10\.77\.1\.1:5641\/join / }, 'only the real server is found')
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
  t.notMatch(joining.stderr, /[\x00-\x09\x0b-\x1f\x7f-\x9f]|evil|Error|mDNS/)
  t.match(await server.ctl('status'), { code: 0, stdout: /^server / })
  t.notMatch(run.stderr, /mDNS|Error/)
  t.equal((await server.ctl('down')).code, 0)
  t.equal((await run.ended).code, 0)
})

t.test('only addresses of private networks count as private', async t => {
  for (const address of ['10.1.2.3', '172.16.0.1', '172.31.255.255', '192.168.1.10', '169.254.1.1'])
    t.ok(isPrivate(address), address)
  for (const address of ['9.255.255.255', '11.0.0.0', '172.32.0.0', '192.169.0.1', '8.8.8.8', '127.0.0.1'])
    t.notOk(isPrivate(address), address)
})
