/** Tests the pauses between tries. */
import t from 'tap'
import { backoff } from '../../fs/base/backoff.js'

const pauses = { first_ms: 100, longest_ms: 1000 }
const of = (random: number, o = pauses) => [0, 1, 2, 3, 4, 5000].map(before => backoff(before, o, () => random))

t.test('a pause doubles with each failure, up to the longest', async t => {
  t.same(of(1), [100, 200, 400, 800, 1000, 1000])
})

t.test('a pause is random, except for the share that is always waited', async t => {
  t.same(of(0), [0, 0, 0, 0, 0, 0])
  t.same(of(0.5, { ...pauses, least: 0.5 } as typeof pauses), [75, 150, 300, 600, 750, 750])
})
