/** Tests that a server keeps within its memory budget, whatever its users do. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { Finding } from '../../ctl/doctor/finding.js'
import { Cluster } from '../faults/cluster.js'
import { go, ways } from './ways.js'

const MiB = 1024 * 1024
/** Largest resident size of a server with `memory 256M`: V8 does not stop at the exact byte. */
const MOST = 300 * MiB

t.setTimeout(200_000)

t.test(
  'a server stays below its memory whatever its users do, says why it refuses them, and serves the others',
  { timeout: 200_000 },
  async t => {
    // a disk that accepts no answers: otherwise requests that the budget must refuse would first fill the disk
    const state = t.testdir()
    mkdirSync(join(state, 'llambo'), { mode: 0o700 })
    writeFileSync(join(state, 'llambo/spill'), '')
    const cluster = await Cluster.start(t, {
      workers: 1,
      env: { LLAMBO_MEMORY: '256M', LLAMBO_AUTH: 'none', XDG_STATE_HOME: state },
    })
    const server = { address: cluster.address, url: cluster.url }
    const { pid } = cluster.run.child
    const peak = () => Number(/^VmHWM:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024
    const other = await cluster.tree({ name: 'other', uid: 6001 })
    const figures: string[] = []
    for (const [i, name] of Object.keys(ways).entries()) {
      const began = Date.now()
      const ended = await go(name, 5000 + i, server)
      // memory of earlier ways may not be collected yet, so even a small request may be refused
      const refused = ended.refusal?.startsWith('over the memory budget')
      t.ok(ended.asMeant || refused, `${name}: ${ended.refusal}`)
      t.equal(await other.ask('data', `${i} red green`), `0:${i} 1:red 2:green\n`, 'another user is served meanwhile')
      figures.push(`${name}: ${Math.round(peak() / MiB)} MiB, ${Date.now() - began} ms`)
      ended.leave()
    }
    for (const figure of figures) t.comment(figure)
    const { memory, memory_used } = await cluster.status()
    t.ok(Number(memory_used) > 0 && Number(memory_used) <= Number(memory), `status: ${memory_used} of ${memory}`)
    const metrics = await cluster.root.read('metrics')
    t.match(metrics, /^llambo_memory_used_bytes \d+$/m)
    t.match(metrics, new RegExp(`^llambo_memory_limit_bytes ${memory}$`, 'm'))
    t.match(metrics, /^llambo_memory_refusals_total [1-9]\d*$/m)
    t.match(metrics, /^llambo_spill_used_bytes 0$/m)
    t.equal(
      (await cluster.root.read('events')).match(/ kind=not-spilled error=.*spill/g)?.length,
      1,
      'it is reported once',
    )
    const { stdout } = await cluster.home.ctl('doctor', '--json')
    const spill = (JSON.parse(stdout) as Finding[]).find(({ name }) => name === 'spill')
    t.match(spill, { state: 'note', says: /^cannot write more to .* stay in memory$/, remedy: /not-spilled/ })
    t.ok(peak() < MOST, `at most ${Math.round(peak() / MiB)} MiB were resident`)
  },
)
