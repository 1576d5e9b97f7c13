/** The scenario `memory`: clients that make the server keep memory. */

import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { go, ways } from '../memory/ways.js'
import { Cluster } from './cluster.js'
import { must, type Scenario, type Stage, within } from './stage.js'

const MiB = 1024 * 1024
const MOST = 300 * MiB
/** How long the scenario takes, in s; set it lower to watch it work. */
const SECONDS = Number(process.env.LLAMBO_FAULTS_MEMORY_S ?? 600)
/** How long the ways that have begun by then may take to end, in ms. */
const LAST_MS = 120_000

/** Runs every way to make a server keep memory, all at once and again and again, beside a user who only asks. */
async function hoards(stage: Stage): Promise<string> {
  const cluster = await Cluster.start(stage, { workers: 1, env: { LLAMBO_MEMORY: '256M', LLAMBO_AUTH: 'none' } })
  const server = { address: cluster.address, url: cluster.url }
  const { pid } = cluster.run.child
  const most = () => Number(/^VmHWM:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024
  const until = Date.now() + SECONDS * 1000
  let refusals = 0
  const broken: string[] = []
  const going = new Set<string>()
  const hoarders = Object.keys(ways).map(async (name, i) => {
    while (Date.now() < until) {
      going.add(name)
      const { refusal, asMeant, leave } = await go(name, 5000 + i, server)
      going.delete(name)
      leave()
      if (refusal === undefined) continue
      // if the others have taken all memory, a way is refused before it gets where it wants to be, or its connection is
      // closed or not accepted
      const refused =
        /over the memory budget|^queue full, |^i\/o on hungup channel|its queue is full$|^write EPIPE$|handshake has timed out$|^closed$/
      if (!asMeant && !refused.test(refusal)) broken.push(`${name}: ${refusal}`)
      refusals++
      await sleep(100)
    }
  })
  const other = await cluster.tree({ name: 'other', uid: 6001 })
  let answers = 0
  let slowest = 0
  for (; Date.now() < until; answers++) {
    const began = Date.now()
    const answer = await within('another user', 30_000, other.ask('data', `n${answers} red`))
    must(answer === `0:n${answers} 1:red\n`, answer)
    slowest = Math.max(slowest, Date.now() - began)
    await sleep(200)
  }
  await within('the last ways', LAST_MS, Promise.all(hoarders)).catch(error => {
    throw new Error(`${error.message}: ${[...going].join('; ')}`)
  })
  must(most() < MOST, `${Math.round(most() / MiB)} MiB were resident`)
  must(broken.length === 0, `${broken.length} other errors: ${[...new Set(broken)].slice(0, 5).join('; ')}`)
  return `${refusals} refusals in ${SECONDS} s, at most ${Math.round(most() / MiB)} MiB resident; another user had ${answers} answers, the slowest after ${slowest} ms`
}

export const memory: Scenario = { name: 'memory', run: hoards }
