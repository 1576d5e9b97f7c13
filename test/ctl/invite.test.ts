/** Tests `llamboctl invite`. */
import { spawn, spawnSync } from 'node:child_process'
import { chmodSync, readFileSync } from 'node:fs'
import { isIPv4 } from 'node:net'
import t from 'tap'
import { ownAddresses } from '../../cli/own-addresses.js'
import { joinAddresses } from '../../ctl/command/invite.js'
import { Home, llamboctl, Run } from './fixture.js'

const tokensOf = (home: Home) => readFileSync(home.path('.local/state/llambo/tokens'), 'utf8')
const line =
  /^LLAMBO_TOKEN=(llb_[\w-]{43}) llamboctl join (wss:\/\/\S+:\d+\/join) --fingerprint (sha256:[0-9a-f]{64})\n$/
/** An address at which other machines reach this one; undefined where there is none. */
const reachable = ownAddresses().find(isIPv4)
const skip = reachable === undefined ? 'this machine is not on a network' : false

t.test('the printed line is all that the other machine needs', { skip }, async t => {
  const home = new Home(t)
  await home.up('--listen', 'wss://0.0.0.0:0/9p')
  const invited = await home.ctl('invite')
  t.equal(invited.code, 0)
  t.match(invited.stdout, line)
  t.match(invited.stderr, /Type this on the other machine /)

  const other = new Home(t)
  const program = other.file('bin/llamboctl', `#!/bin/sh\nexec "${process.execPath}" "${llamboctl}" "$@"\n`)
  chmodSync(program, 0o755)
  const path = `${other.path('bin')}:${process.env.PATH}`
  const shell = new Run(
    spawn('sh', ['-c', `exec env ${invited.stdout.trim()}`], { env: { ...other.env, PATH: path }, stdio: 'pipe' }),
  )
  await shell.says(/joined wss:/)
  const events = home.start(['cat', 'event'])
  await events.says(/kind=worker-ready worker=worker-0002 /)
  t.equal((await home.ctl('rdwr', 'worker-0002/data', 'hi')).stdout, '0:hi\n')
  shell.child.kill('SIGINT')
  t.equal((await shell.ended).code, 0)
  await events.says(/kind=worker-left worker=worker-0002 /)
  t.equal((await home.ctl('rdwr', 'data', 'hi')).stdout, '0:hi\n')
})

t.test('each invitation makes a new token, for the user that is given', { skip }, async t => {
  const home = new Home(t)
  await home.up('--listen', 'wss://0.0.0.0:0/9p')
  const before = tokensOf(home)
  const { stdout } = await home.ctl('invite', '--json', '--user', 'glenda')
  const json = JSON.parse(stdout)
  t.match(`${json.command}\n`, line)
  t.match(json, { user: 'glenda', fingerprint: /^sha256:/, addresses: [/^wss:/] })
  t.ok(json.command.includes(json.token))
  t.match(tokensOf(home).slice(before.length), /^join glenda sha256:\S+ # invited \d{4}-\d\d-\d\d\n$/)
  t.not(JSON.parse((await home.ctl('invite', '--json')).stdout).token, json.token)
  t.match(await home.ctl('invite', '--user', 'a b'), {
    code: 1,
    stdout: '',
    stderr: /user a b: expected letters, digits/,
  })
  const checkout = home.start(['invite'], { LLAMBO_CALLED_AS: '/home/ada/llambo/llamboctl' })
  t.match(await checkout.ended, {
    stdout: /^LLAMBO_TOKEN=\S+ \.\/llamboctl join wss:/,
    stderr: /where llambo is installed there: llamboctl/,
  })
  t.match(await home.ctl('--at', 'wss://gpu.example:1/9p', 'invite'), {
    code: 2,
    stderr: /your server on this machine/,
  })
  for (const address of json.addresses) {
    const tree = home.start(['--at', address.replace('/join', '/9p'), 'status'], {
      LLAMBO_TOKEN: json.token,
      NODE_EXTRA_CA_CERTS: home.path('.local/state/llambo/certificate.pem'),
    })
    t.not((await tree.ended).code, 0, 'the token does not open the tree')
  }
})

t.test(
  'invite refuses where no other machine reaches the server, and says how to start one that they reach',
  async t => {
    const home = new Home(t)
    const none = await home.ctl('invite')
    t.match(none, { code: 3, stdout: '', stderr: /your server is not running; .*llamboctl up --listen wss:/ })
    await home.up()
    const before = tokensOf(home)
    const alone = await home.ctl('invite')
    t.match(alone, {
      code: 1,
      stdout: '',
      stderr: /listens on this machine only, .*llamboctl down, then: llamboctl up --listen wss:\/\/0\.0\.0\.0:5641\/9p/,
    })
    t.equal(tokensOf(home), before)
  },
)

const apart = ['-rn', process.execPath, llamboctl, 'invite']
const unshared = spawnSync('unshare', ['-rn', 'true']).status === 0 ? false : 'network namespaces cannot be made here'

t.test(
  'invite on a machine without a network says so, and does not say to listen as the server does already',
  { skip: unshared },
  async t => {
    const home = new Home(t)
    await home.up('--listen', 'wss://0.0.0.0:0/9p')
    const before = tokensOf(home)
    const alone = await new Run(spawn('unshare', apart, { env: home.env, stdio: 'pipe' })).ended
    t.match(alone, {
      code: 1,
      stdout: '',
      stderr: /no address that other machines can reach; connect it to a network/,
    })
    t.equal(tokensOf(home), before)
  },
)

t.test('the addresses to join are those where the server listens, on each address of the machine', async t => {
  for (const address of [
    'unix!/run/9p',
    'tcp!10.0.0.1!5640',
    'ws://127.0.0.1:1/9p',
    'wss://127.0.0.1:1/9p',
    'wss://[::1]:1/9p',
  ])
    t.same(joinAddresses(address), [], address)
  t.same(joinAddresses('wss://gpu.example:5641/9p'), ['wss://gpu.example:5641/join'])
  t.same(joinAddresses('wss://gpu.example/9p'), ['wss://gpu.example:443/join'])
  t.same(joinAddresses('wss://[fd00::1]:5641/9p'), ['wss://[fd00::1]:5641/join'])
  const own = ownAddresses()
  t.notOk(own.some(address => /^(127\.|::1$|fe80:)/.test(address)))
  t.same(
    joinAddresses('wss://0.0.0.0:7/9p'),
    own.filter(isIPv4).map(one => `wss://${one}:7/join`),
  )
  t.equal(joinAddresses('wss://[::]:7/9p').length, own.length)
})
