/** Tests the metrics and the trace of a task: what is written by their tables, and what the documents list. */
import { readFileSync } from 'node:fs'
import t from 'tap'
import { metricOf, metricText } from '../../api/metrics.js'
import { steps, traceLine } from '../../api/trace.js'

t.test('a metric that is written by the table is read by it', async t => {
  const text = [
    metricText('llambo_requests_total', [['{state="done"}', 3]]),
    metricText('llambo_slots', [['', 4]]),
    metricText('llambo_spill_failing', [['', 0]]),
  ].join('')
  t.match(
    text,
    /^# HELP llambo_slots Requests that can be answered at once\n# TYPE llambo_slots gauge\nllambo_slots 4$/m,
  )
  t.equal(metricOf(text, 'llambo_slots'), 4)
  t.equal(metricOf(text, 'llambo_spill_failing'), 0)
  t.equal(metricOf(text, 'llambo_sessions'), undefined, 'one that is not there')
  t.equal(metricOf(text, 'llambo_requests_total'), undefined, 'one with labels')
  for (const odd of ['x', '-1', '1e999', '9'.repeat(100)])
    t.equal(metricOf(`llambo_slots ${odd}\n`, 'llambo_slots'), undefined)
  // @ts-expect-error a misspelt metric
  t.equal(metricOf(text, 'llambo_slot'), undefined)
})

t.test('a line of a trace has the time and the attributes of its step', async t => {
  t.equal(traceLine('resumed', 12, { worker: 'worker-0002', at: 57 }), 'resumed ms=12 worker=worker-0002 at=57\n')
  // @ts-expect-error a misspelt attribute
  traceLine('resumed', 12, { workers: 'worker-0002' })
  // @ts-expect-error a misspelt step
  t.ok(traceLine('resume', 12, {}))
})

t.test('docs/files.md lists the steps of a trace', async t => {
  const docs = readFileSync(new URL('../../../docs/files.md', import.meta.url), 'utf8')
  const row = /^\| `trace` \| 0440 \|.*$/m.exec(docs)?.[0] ?? ''
  const listed = [...row.matchAll(/`([a-z-]+)`/g)].map(([, word]) => word!).filter(word => word !== 'trace')
  t.same(listed.sort(), Object.keys(steps).sort())
})
