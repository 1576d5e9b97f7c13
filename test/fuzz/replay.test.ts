import t from 'tap'
import { load } from './store.js'
import { targets } from './targets.js'

/** Inputs of the corpus that an ordinary test runs, of each target: the shortest. */
const MOST = 400

const rejected: unknown[] = []
process.on('unhandledRejection', error => rejected.push(error))

for (const target of targets)
  t.test(`${target.name}: what once was a fault is none, and what it begins with and the corpus run clean`, async t => {
    const seeds = target.seeds().map((input, i) => ({ name: `seed ${i}`, input }))
    const inputs = [...load('crashers', target.name), ...seeds, ...load('corpus', target.name).slice(0, MOST)]
    for (const { name, input } of inputs) {
      try {
        await target.run(input)
        await new Promise(resolve => setImmediate(resolve))
        if (rejected.length > 0) throw rejected.pop()
      } catch (error) {
        t.fail(name, { found: error })
      }
    }
    t.pass(`${inputs.length} inputs`)
  })
