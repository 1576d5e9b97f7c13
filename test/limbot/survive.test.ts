/** A chat whose worker and server are killed or restarted. */
import { readdirSync, readFileSync } from 'node:fs'
import t from 'tap'
import { parseRecords } from '../../fs/base/quote.js'
import { Home } from '../ctl/fixture.js'
import { noTerminal } from '../terminal.js'
import { chat } from './fixture.js'

const words = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, i) => `${from + i}:${'abc'[(from + i) % 3]}`)

/** The number of the last word on the screen. */
const last = (screen: string): number => Number([...screen.matchAll(/(\d+):[abc]\b/g)].at(-1)?.[1])

const kept = (home: Home): string => readdirSync(home.path('.local/share/llambo/sessions'))[0]!

t.test('a chat survives the loss of the answering worker and of the server', { skip: noTerminal }, async t => {
  const home = new Home(t, { LLAMBO_ENGINE_RATE: '25', LLAMBO_MDNS: 'off' })
  const server = await home.up('--workers', '2')
  const records = async (path: string) => parseRecords((await home.ctl('cat', path)).stdout)
  const terminal = await chat(t, home)
  const host = (await home.ctl('ls', 'host')).stdout.trim()
  const processes = await records(`host/${host}/status`)

  // the answer takes long enough for one command on a busy machine
  await terminal.enter('a b c x200')
  await terminal.screen(/^0:a 1:b/m)
  const busy = (await records('status')).find(({ word, attrs }) => word === 'worker' && attrs.active === '1')!
  const { pid } = processes.find(({ attrs }) => attrs.id === busy.attrs.id)!.attrs
  process.kill(Number(pid), 'SIGKILL')
  // another worker must have continued first: text that only the server has is lost with the server
  await terminal.screen(/^worker-\d+ took over · /m)
  const seen = last(await terminal.shown())
  await terminal.screen(screen => last(screen) > seen + 5)

  server.child.kill('SIGKILL')
  await server.ended
  await terminal.screen(/^connection lost/m)
  await terminal.type('typed while it is away')
  await terminal.screen(/You: typed while it is away$/)
  await home.up('--workers', '2')
  await terminal.screen(/^connected again$/m)
  const screen = await terminal.screen(/^worker-000\d.* · 200 tok/m)
  t.same(screen.match(/\d+:[abc]/g), words(0, 200), 'no word is lost or doubled')

  // it is the same session, with its history
  await terminal.press('Enter')
  await terminal.screen(/0:typed 1:while 2:it 3:is 4:away/)
  const [session] = (await home.ctl('ls', 'session')).stdout.split('\n').filter(name => /^\d+$/.test(name))
  const history = (await home.ctl('cat', `session/${session}/history`)).stdout
  t.equal(history, readFileSync(home.path(`.local/share/llambo/sessions/${kept(home)}`), 'utf8').replace(/^.*\n/, ''))

  // the server is stopped properly, and another one starts
  await home.ctl('down')
  await home.up('--workers', '1')
  await terminal.screen(/connected again[\s\S]*connected again/)
  await terminal.enter('still there')
  await terminal.screen(/0:still 1:there/)
  t.match((await home.ctl('ls', 'session')).stdout, new RegExp(`^${session}$`, 'm'))
  await terminal.press('C-d')
  t.equal(await terminal.ended(), 0)
})

t.test('an answer whose worker and server die continues after its last token', { skip: noTerminal }, async t => {
  const home = new Home(t, { LLAMBO_ENGINE_RATE: '25', LLAMBO_MDNS: 'off' })
  const server = await home.up('--workers', '1')
  const terminal = await chat(t, home)
  const host = (await home.ctl('ls', 'host')).stdout.trim()
  const status = parseRecords((await home.ctl('cat', `host/${host}/status`)).stdout)
  const worker = Number(status.find(({ word }) => word === 'worker')!.attrs.pid)
  await terminal.enter('a b c x200')
  await terminal.screen(/^0:a 1:b/m)
  for (const pid of [server.child.pid!, worker]) process.kill(pid, 'SIGKILL')
  await server.ended
  await terminal.screen(/^connection lost/m)
  const again = await home.up('--workers', '1')
  await terminal.screen(/^worker-\d+ took over · /m)

  // once more: the text so far is from two servers now
  const seen = last(await terminal.shown())
  await terminal.screen(screen => last(screen) > seen + 5)
  await home.ctl('down', '--now')
  await again.ended
  // this time the new server does not have the model loaded
  await home.up('--workers', '1', '--model', 'none')
  // the request is in the server's queue, or limbot still looks for the answer
  await terminal.screen(/connected again[\s\S]*connected again[\s\S]*(looking for the answer|queued)/)
  t.equal((await home.ctl('load', 'echo')).code, 0)
  const screen = await terminal.screen(/^worker-\d+ \(took over\) · echo · 200 tok/m)
  t.same(screen.match(/\d+:[abc]/g), words(0, 200), 'no word is lost or doubled')
  t.notMatch(screen, /retry/)

  await terminal.enter('and then')
  await terminal.screen(/0:and 1:then/)
  const session = (await home.ctl('ls', 'session')).stdout.split('\n')[0]
  const history = (await home.ctl('cat', `session/${session}/history`)).stdout
  t.equal(history, readFileSync(home.path(`.local/share/llambo/sessions/${kept(home)}`), 'utf8').replace(/^.*\n/, ''))
})
