/** Tests to which servers the owner's token is offered: the owner's own, and those that the owner names a token for. */
import { existsSync, mkdirSync } from 'node:fs'
import { createServer as createHttp } from 'node:http'
import t, { type Test } from 'tap'
import { isOwnServer } from '../../cli/own-server.js'
import { bornAt, removeServerFile, writeServerFile } from '../../cli/serverfile.js'
import { dial, listen } from '../../fs/dial.js'
import { fuseProblem } from '../../mnt/mount.js'
import { ForeignServer, manners } from '../foreign.js'
import { Home, type Run } from './fixture.js'

const problem = await fuseProblem()
const skip = problem === undefined ? false : `no FUSE here: ${problem}`

const addressOf = (run: Run): string => /listening on (ws:\S+)/.exec(run.stderr)![1]!

/** A program on loopback that demands a token and counts the tokens that it is offered. */
async function rogue(t: Test) {
  const server = new ForeignServer({ version: manners.go9p.version, missing: manners.go9p.missing })
  const { address, close } = await listen('tcp!127.0.0.1!0', transport => server.serve(transport))
  t.teardown(close)
  return { address, offered: () => server.requests.filter(line => line.startsWith('Twrite')).length }
}

t.test("the owner's token is offered to the owner's own server and to no other program", async t => {
  const home = new Home(t)
  const run = await home.up()
  const address = addressOf(run)
  t.match(await home.ctl('--at', address, 'ls'), { code: 0, stdout: /^status$/m })

  const { address: other, offered } = await rogue(t)
  await home.ctl('--at', other, 'ls')
  t.equal(offered(), 0, 'a program on another port of this machine gets no token')

  const token = home.path('.local/state/llambo/token')
  t.ok(existsSync(token))
  const named = home.start(['--at', other, 'ls'], { LLAMBO_TOKEN_FILE: token })
  named.child.stdin?.end()
  await named.ended
  t.equal(offered(), 1, 'a token that the user names is offered')

  await t.test('a mount that would offer the token to a later program is refused', { skip }, async t => {
    t.match(await home.ctl('--at', address, 'mount', '--allow-other', home.path('n')), {
      code: 2,
      stderr: /your own token would be offered to any program that later listens at /,
    })
  })

  run.child.kill('SIGKILL')
  await run.ended
  let heard: string | undefined
  const http = createHttp((request, response) => {
    heard = request.headers.authorization ?? 'nothing'
    response.writeHead(401).end()
  })
  http.on('upgrade', (request, socket) => {
    heard = request.headers.authorization ?? 'nothing'
    socket.end('HTTP/1.1 401 Unauthorized\r\nConnection: close\r\n\r\n')
  })
  await new Promise<void>(resolve => http.listen(Number(new URL(address).port), '127.0.0.1', resolve))
  t.teardown(() => new Promise(resolve => http.close(resolve)))
  const after = await home.ctl('--at', address, 'ls')
  t.equal(heard, 'nothing', 'another program on the port of a stopped server gets no token')
  t.match(after, { code: 4, stderr: `if you trust this one, set LLAMBO_TOKEN_FILE=${token}\n` })
})

t.test('an address is that of our own server while it runs and no other process listens on its port', async t => {
  const home = new Home(t)
  const { address, close } = await listen('tcp!127.0.0.1!0', () => {})
  const port = Number(address.split('!')[2])
  const { XDG_RUNTIME_DIR: run } = home.env
  mkdirSync(`${run}/llambo`, { mode: 0o700 })
  // the file names this process, which the end of the home would kill
  t.teardown(() => removeServerFile(home.env))
  const record = (pid: number, addresses: string[], born = bornAt(pid)) =>
    writeServerFile({ pid, born, addresses, mounts: [], started: '', fingerprint: 'sha256:aa' }, home.env)
  record(process.pid, [address])
  t.ok(isOwnServer(address, undefined, home.env))
  t.ok(isOwnServer(`tcp!localhost!${port}`, undefined, home.env))
  t.notOk(isOwnServer('tcp!127.0.0.1!1', undefined, home.env), 'the server does not listen on the port')
  t.notOk(isOwnServer(`tcp!192.0.2.1!${port}`, undefined, home.env), 'the address is on another machine')
  t.ok(isOwnServer('wss://127.0.0.1:1/9p', 'sha256:aa', home.env), 'the certificate proves it')
  t.notOk(isOwnServer(`wss://127.0.0.1:${port}/9p`, 'sha256:bb', home.env), 'the certificate is another')
  record(process.pid, ['tcp!127.0.0.1!1'])
  t.notOk(isOwnServer(address, undefined, home.env), 'the address is not recorded')
  record(process.ppid, [address])
  t.notOk(isOwnServer(address, undefined, home.env), 'another process holds the port')
  record(process.pid, [address], '1')
  t.notOk(isOwnServer(address, undefined, home.env), 'the number belongs to another process by now')

  // another program has the same port on ::1
  record(process.pid, [address])
  const beside = home.start([], {}, [
    '-e',
    `require('net').createServer().listen(${port}, '::1', () => console.log('up'))`,
  ])
  const there = await Promise.race([beside.says(/up/).then(() => true), beside.ended.then(() => false)])
  if (there) t.notOk(isOwnServer(`tcp!localhost!${port}`, undefined, home.env), 'localhost is also ::1')
  await close()
  await t.rejects(dial(address))
  t.notOk(isOwnServer(address, undefined, home.env), 'no process listens')
})

t.test("a token for dish's own server is not offered to other servers that dish mounts", async t => {
  const home = new Home(t)
  const { address, offered } = await rogue(t)
  const dish = (text: string) => {
    const run = home.start(['dish', '-c', text], { LLAMBO_TOKEN: 'llb_for-the-own-server' })
    run.child.stdin?.end()
    return run.ended
  }
  t.match(await dish(`import ${address} /n/x; ls /n/x`), { code: 0 })
  t.equal(offered(), 0)
  await dish(`LLAMBO_TOKEN=llb_for-that-one import ${address} /n/x`)
  t.equal(offered(), 1)
})
