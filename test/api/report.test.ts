/** Tests of the parser for `status`. */
import t from 'tap'
import { MAX_STATUS, parseReport } from '../../api/report.js'

const server =
  'server name=worker-0001 kind=worker id=ab-1 boot=b1 version=1.0.0 host=alpha class=default state=idle slots=4'
const bad = { message: /^bad message: status: / }

t.test('a status is read field by field, and fields of newer versions are dropped', async t => {
  const report = parseReport(
    `${server} active=1 tok_s=2.5 future=1\nmodel name='my model' type=text size=7 loaded=yes digest=sha256:ab context=8\nnews x=1\n`,
  )
  t.match(report, { name: 'worker-0001', id: 'ab-1', slots: 4, active: 1, tok_s: 2.5, gpu: 'none', clusters: [] })
  t.same(report.models, [{ name: 'my model', type: 'text', size: 7, loaded: true, digest: 'sha256:ab', context: 8 }])
  t.notOk('future' in report)
})

t.test('a status with one invalid field is refused as a whole', async t => {
  const fields = [
    'name=a/b',
    "name=''",
    "name=' '",
    "name='a\nb'",
    'name=a\u001b[2J',
    `name=${'x'.repeat(65)}`,
    'kind=toString',
    'id=a/b',
    "id=''",
    'boot=a/b',
    "version=''",
    "version='1 2'",
    'version=1\u001b',
    'host=a/b',
    'host=..',
    "host='a b'",
    'class=a/b',
    'class=\u009b1m',
    'state=\u001b[2J',
    'slots=1e300',
    'slots=-1',
    'slots=0.5',
    'slots=0x10',
    'mem_total=1e40',
    'tok_s=NaN',
    'progress=2',
    `clusters=${'a,'.repeat(2000)}a`,
    'clusters=a/b',
  ]
  for (const one of fields) {
    const key = one.slice(0, one.indexOf('='))
    const text = `${server.replace(new RegExp(` ${key}=\\S+`), '')} ${one}\n`
    t.throws(() => parseReport(text), bad, JSON.stringify(one.slice(0, 40)))
  }
})

t.test('text that is not a status is refused with a sentence', async t => {
  t.throws(() => parseReport('hello\n'), { message: 'bad message: status: expected a server record at the beginning' })
})

t.test('an orphan with an invalid task, user or attempt is skipped, and the worker is accepted', async t => {
  const orphan = { id: '1', cluster: 'c', task: '7', attempt: '1', user: 'ann', uid: '1000' }
  const text = (changes: object) =>
    `${server}\norphan ${Object.entries({ ...orphan, ...changes })
      .map(([key, value]) => `${key}='${value}'`)
      .join(' ')}\n`
  t.match(parseReport(text({})).orphans, [{ id: '1', task: '7', attempt: 1, user: 'ann', uid: 1000, proof: '' }])
  const changes = [{ task: 'a/b' }, { task: '' }, { task: '../1' }, { task: '01' }, { task: '9'.repeat(17) }]
  for (const change of [
    ...changes,
    { id: 'a/b' },
    { attempt: '0' },
    { attempt: '1e9' },
    { user: 'a/b' },
    { uid: '-1' },
  ])
    t.same(parseReport(text(change)).orphans, [], JSON.stringify(change))
})

t.test('free text is made harmless, and a model with an invalid name is skipped', async t => {
  const report = parseReport(
    `${server} error='no \u001b]0;x\u0007' cpu=\u009b1m\nmodel name='a\u001b[31m' size=1\nmodel name=good size=1 problem='x\u001by'\n`,
  )
  t.equal(report.error, 'no \ufffd]0;x\ufffd')
  t.equal(report.cpu, '\ufffd1m')
  t.match(report.models, [{ name: 'good', problem: 'x\ufffdy' }])
  t.equal(report.models.length, 1)
})

t.test('the size of a status and its number of records are bounded, more loosely for a cluster', async t => {
  const models = (n: number) => Array.from({ length: n }, (_, i) => `model name=m${i} size=1`).join('\n')
  t.equal(parseReport(`${server}\n${models(4096)}\n`).models.length, 4096)
  t.throws(() => parseReport(`${server}\n${models(4097)}\n`), bad)
  t.throws(() => parseReport(`${server}\nx y='${'x'.repeat(MAX_STATUS.other)}'\n`), bad)
  // ten thousand workers of one cluster
  const worker = `worker name=worker-0001 host=alpha state=idle class=default model=llambo-tiny slots=4 active=0 queue=0 tok_s=0 latency_ms=0 mem_free=123456789012 kind=worker id=${'a'.repeat(32)} boot=${'b'.repeat(8)}\n`
  const cluster = server.replace('kind=worker', 'kind=cluster')
  t.equal(parseReport(`${cluster}\n${worker.repeat(10_000)}`).kind, 'cluster')
  t.throws(() => parseReport(`${cluster}\n${worker.repeat(41_000)}`), bad)
})
