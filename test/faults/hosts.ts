/** The scenario `hosts`: workers on several machines. */

import { setTimeout as sleep } from 'node:timers/promises'
import { Home } from '../ctl/fixture.js'
import { within as inside, ip, namespaces } from '../ctl/namespaces.js'
import { byData, byGenerate, echoPrompt, Tally } from './clients.js'
import { Cluster } from './cluster.js'
import { Moves } from './kill.js'
import { must, type Scenario, Stage, seconds, until, within } from './stage.js'

/**
 * Three machines, each in a network namespace of its own: one serves, one finds the server by mDNS, one is given its
 * address.
 */
async function machines(stage: Stage): Promise<string> {
  const net = namespaces(stage)
  must(typeof net !== 'string', `${net}`)
  const env = { LLAMBO_ENGINE_RATE: '20' }
  const server = await Cluster.start(stage, {
    workers: 1,
    slots: 4,
    env: { ...env, LLAMBO_LISTEN: 'wss://0.0.0.0:5641/9p' },
    within: inside(net.middle),
    ctl: ['heartbeat 0.5', 'retry tries 5 resumes 10'],
  })
  const events = await server.events()
  const { token, fingerprint, addresses } = JSON.parse((await server.home.ctl('invite', '--json')).stdout)
  const joining = (namespace: string, ...how: string[]) => {
    const home = new Home(stage, env, inside(namespace))
    stage.teardown(() => home.ctl('leave'))
    const args = ['join', ...how, '--fingerprint', fingerprint, '--workers', '1', '--slots', '4']
    return home.start(args, { LLAMBO_TOKEN: token })
  }
  const left = joining(net.left)
  const right = joining(net.right, addresses[1])
  await Promise.all([left.says(/found wss[\s\S]*joined wss/), right.says(/joined wss/)])
  await server.ready(3)
  must((await server.root.names('host')).length === 3, 'there are not three hosts')

  const stop = new AbortController()
  const tally = new Tally()
  const askers = await Promise.all(
    [0, 1, 2, 3].flatMap(n =>
      Object.entries({ data: byData, generate: byGenerate }).map(
        async ([kind, by]) => [`${kind}${n}`, by(await server.tree())] as const,
      ),
    ),
  )
  const load = tally.load(Object.fromEntries(askers), (who, n) => echoPrompt(`${who}-${n}`, 60), stop.signal)
  await until('all are used', 20_000, async () => (await server.workers()).every(({ active }) => active > 0))
  must(ip('-n', net.left, 'link', 'set', 'eth0', 'down') === '', 'the link cannot be taken down')
  const cut = Date.now()
  await until('its worker is gone', 30_000, async () => (await server.workers()).length === 2)
  const gone = Date.now() - cut
  await until('its host is gone', 30_000, async () => (await server.root.names('host')).length === 2)
  await events.next('host-left')
  await sleep(5000)
  must(ip('-n', net.left, 'link', 'set', 'eth0', 'up') === '', 'the link cannot be brought up')
  const healed = Date.now()
  await server.ready(3, 120_000)
  await until('its host is back', 120_000, async () => (await server.root.names('host')).length === 3)
  const back = Date.now() - healed
  const moved = await new Moves(server).count()
  stop.abort()
  await within('the last answers', 60_000, load)
  const figures = tally.check(1)
  must(moved > 0, 'nothing was moved')
  left.child.kill('SIGINT')
  must((await within('leaving', 40_000, left.ended)).code === 0, 'the joiner did not leave in order')
  await until('it has left', 20_000, async () => (await server.workers()).length === 2)
  return `joined by mDNS and by address; a link cut: gone after ${seconds(gone)}, ${moved} moves, back ${seconds(back)} after it heals; ${figures}`
}

/** Why network namespaces cannot be made here; empty if they can. */
async function lacks(): Promise<string> {
  const stage = new Stage()
  const made = namespaces(stage)
  await stage.end()
  return typeof made === 'string' ? made : ''
}

export const hosts: Scenario = { name: 'hosts', lacks, run: machines }
