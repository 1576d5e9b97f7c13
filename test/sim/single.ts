import { serve } from '../../fs/server.js'
import { Process, Timeline } from './clock.js'
import { guard } from './guard.js'
import { User } from './load.js'
import { Net } from './net.js'
import { Random } from './random.js'
import { Requests } from './requests.js'
import { parentsUser, SimWorker } from './worker.js'

const guarded = guard()
const began = process.hrtime.bigint()
for (let seed = 1; seed <= Number(process.argv[2] ?? 10); seed++) {
  const random = new Random(`${seed}`)
  const time = new Timeline()
  guarded(time, () => Date.UTC(2026, 0, 1) + time.now)
  const net = new Net(time, random.stream('net'))
  const note = (line: string) => process.argv[3] && console.log((time.now / 1000).toFixed(3), line)
  const p = new Process(time, 'worker', 'alpha')
  const worker = new SimWorker(p, { id: random.uuid(), boot: random.hex(8), class: 'default', slots: 4, rate: 20, first_token_ms: 5, load_ms: 100, upstream: 'join' }, net, random.stream('worker'))
  net.listen(p, '9p', transport => void serve(transport, { attach: who => ({ root: worker.worker.root, user: parentsUser(who) }), clock: p, onerror: e => time.fail(e), onfail: worker.worker.failed }))
  const requests = new Requests(() => undefined, note)
  const load = { net, random: random.stream('load'), requests, door: '9p', longest: 30, note }
  const users = Array.from({ length: 6 }, (_, i) => new User(load, new Process(time, `u${i}`, 'beta', () => random.next()), 2000 + i))
  for (const user of users) user.use(6, 40_000)
  try {
    await time.run(2000)
    await time.run(60_000)
    await time.run(120_000)
    console.log(seed, time.hash >>> 0, time.events, requests.all.length, requests.done, requests.open, worker.most)
  } catch (e) { console.log('seed', seed, time.now, e) }
}
console.log(Number(process.hrtime.bigint() - began) / 1e6, 'ms')
