/** Runs the fuzzer's kept inputs as an ordinary test. */

import t from 'tap'
import { load } from './store.js'
import { targets } from './targets.js'

/** How many inputs of each target's corpus run here, the shortest first. */
const MOST = 400

const rejected: unknown[] = []
process.on('unhandledRejection', error => rejected.push(error))

for (const target of targets)
  t.test(`${target.name}: inputs that once brought out a fault, seeds and the corpus bring out none`, async t => {
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
