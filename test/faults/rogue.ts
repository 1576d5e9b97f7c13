/** The scenario `rogue`: joiners with a token do their worst. */

import { readFileSync } from 'node:fs'
import { stageOf } from '../rogue/stage.js'
import { ways } from '../rogue/ways.js'
import { Cluster } from './cluster.js'
import { must, type Scenario, type Stage, within } from './stage.js'

const MiB = 2 ** 20
/** How long the joiners go on, in ms. */
const LONG_MS = 120_000
/**
 * How much the server may grow meanwhile, in bytes. Three of the ways show a status of 4 MiB, or a line without end, at
 * the same time. The server has each as bytes, as text and as parsed values: 36 MiB. The rest is what V8 has not
 * collected yet: three times its young generation of 16 MiB, and as much garbage again as is in use.
 */
const MAX_GROWTH = 128 * MiB
/** How much one round may log, in characters. */
const MAX_LOG = 64 * 1024

/**
 * The ways that make many or large things. The others compare the state before and after, and the short test does them
 * one by one.
 */
const chosen = [
  'names with /, blanks, escapes, line breaks, and none',
  'numbers that cannot be',
  'a name of 30 MB',
  'a status of 64 MB, and one without end',
  'a line of events without end',
  'a storm of connections',
]

/**
 * Joiners with a token do their worst again and again, in several ways at once, to a server in a process of its own,
 * while another user goes on asking.
 */
async function run(stage: Stage): Promise<string> {
  const cluster = await Cluster.start(stage, { workers: 1, slots: 8 })
  const all = await stageOf(stage, cluster)
  const ann = await all.cluster.as('ann')
  const memory = (row: string) =>
    Number(
      new RegExp(`^${row}:\\s+(\\d+)`, 'm').exec(readFileSync(`/proc/${cluster.run.child.pid}/status`, 'utf8'))?.[1],
    ) * 1024
  const before = memory('VmRSS')
  const grown = () => memory('VmHWM') - before
  let rounds = 0
  let slowest = 0
  let logged = all.cluster.log().length
  for (const end = Date.now() + LONG_MS; Date.now() < end; rounds++) {
    const busy = Promise.all(chosen.map(name => ways[name]!(all)))
    for (let over = false; !over; ) {
      const began = Date.now()
      must((await within('an answer', 10_000, ann.ask('data', 'bread'))) === '0:bread\n', 'an answer is wrong')
      slowest = Math.max(slowest, Date.now() - began)
      over = await Promise.race([busy.then(() => true), new Promise<false>(resolve => setTimeout(resolve, 50, false))])
    }
    const characters = all.cluster.log().length - logged
    must(characters < MAX_LOG, `${characters} characters were logged in a round`)
    logged += characters
    must(grown() < MAX_GROWTH, `it grew by ${Math.round(grown() / MiB)} MiB`)
  }
  must(logged > 0, 'nothing was logged of all this')
  return `${rounds} rounds, the server of ${Math.round(before / MiB)} MiB grew by ${Math.round(grown() / MiB)} MiB at most, ${logged} characters logged, the slowest answer of another user after ${slowest} ms`
}

export const rogue: Scenario = { name: 'rogue', run }
