/** Tests that a joiner with a token and bad intent does no harm to others. */
import t, { type Test } from 'tap'
import { stage } from './stage.js'
import { ways } from './ways.js'

/** Most bytes that the orchestrator may grow by through all ways: it once grew by over a gigabyte. */
const MAX_GROWTH = 400 * 2 ** 20

const control = /(?!\n)[\p{Cc}\u202a-\u202e\u2066-\u2069]/u

t.test('a joiner with a token and bad intent does not affect anybody else', async (t: Test) => {
  const all = await stage(t)
  const { cluster } = all
  const ann = await cluster.as('ann')
  const root = await cluster.as('root')
  const before = process.memoryUsage.rss()
  let most = before
  for (const [name, way] of Object.entries(ways)) {
    await way(all)
    most = Math.max(most, process.memoryUsage.rss())
    t.equal(await ann.ask('data', 'bread'), '0:bread\n', `${name}: others are served`)
    const names = (await (await (await root.root.walk([])).open(0)).list()).map(({ name }) => name)
    t.ok(names.includes('worker-0001') && names.every(name => /^[a-z0-9-]+$/.test(name)), `${name}: ls`)
  }
  t.ok(most - before < MAX_GROWTH, `it grew by ${Math.round((most - before) / 2 ** 20)} MiB`)
  t.notMatch(await root.read('status'), control)
  t.notMatch(await root.read('events'), control)
  const log = cluster.log()
  t.notMatch(log, control)
  t.ok(log.length < 64 * 1024, `${log.length} characters were logged`)
})
