import { stage as rogues } from '../rogue/stage.js'
import { ways } from '../rogue/ways.js'
import { must, type Scenario, type Stage, within } from './stage.js'

/** How long joiners go on, in ms, and how much an orchestrator may grow by meanwhile, in bytes. */
const LONG_MS = 120_000
const MAX_GROWTH = 500 * 2 ** 20
/** Log of each round, in characters. */
const MAX_LOG = 64 * 1024

/** Joiners with a token do their worst again and again, several ways at once; another user goes on asking. */
async function run(stage: Stage): Promise<string> {
  const all = await rogues(stage)
  const ann = await all.cluster.as('ann')
  const before = process.memoryUsage.rss()
  let rounds = 0
  let slowest = 0
  for (const end = Date.now() + LONG_MS; Date.now() < end; rounds++) {
    const logged = all.log.length
    // those that compare before and after are done one by one, by the short test
    const done = ['names with /, blanks, escapes, line breaks, and none', 'numbers that cannot be', 'a name of 30 MB']
    const at = ['a status of 64 MB, and one without end', 'a line of events without end', 'a storm of connections']
    const busy = Promise.all([...done, ...at].map(name => ways[name]!(all)))
    for (let over = false; !over; ) {
      const began = Date.now()
      must((await within('an answer', 10_000, ann.ask('data', 'bread'))) === '0:bread\n', 'an answer is another')
      slowest = Math.max(slowest, Date.now() - began)
      over = await Promise.race([busy.then(() => true), new Promise<false>(resolve => setTimeout(resolve, 50, false))])
    }
    const bytes = all.log.slice(logged).reduce((sum, line) => sum + line.length, 0)
    must(bytes < MAX_LOG, `${bytes} characters were logged in a round`)
    const grown = process.memoryUsage.rss() - before
    must(grown < MAX_GROWTH, `it grew by ${Math.round(grown / 2 ** 20)} MiB`)
  }
  return `${rounds} rounds, the slowest answer of another user after ${slowest} ms`
}

export const rogue: Scenario = { name: 'rogue', run }
