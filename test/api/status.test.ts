/** Tests how programs read the files of records: `status`, a host's, a task's and a session's. */
import { readFileSync } from 'node:fs'
import t from 'tap'
import { rows } from '../../api/record-file.js'
import { hostStatus, status } from '../../api/status.js'
import { sessionNumber, sessionStatus, taskStatus } from '../../api/task.js'
import { MAX_WHOLE } from '../../fs/base/limits.js'

const bad = (why: string) => ({ message: `bad message: ${why}` })

t.test('what a server writes by the table is what a program reads', async t => {
  const lines = [
    status.line('server', { name: 'a', kind: 'cluster', slots: 4, clusters: 'x,y', latency_ms: undefined }),
    status.line('model', { name: 'my model', loaded: true, conflict: false, size: 7 }),
    status.line('worker', { name: 'worker-0001', state: 'idle', slots: 4, ended: 'ended by SIGKILL' }),
  ]
  t.equal(lines[0], 'server name=a kind=cluster slots=4 clusters=x,y')
  const { server, model, worker, orphan } = status.read(`${lines.join('\n')}\n`)
  t.match(server, { name: 'a', kind: 'cluster', slots: 4, clusters: ['x', 'y'], latency_ms: 0 })
  t.match(model, [{ name: 'my model', loaded: true, conflict: false, size: 7, type: 'text' }])
  t.match(worker, [{ name: 'worker-0001', state: 'idle', slots: 4, ended: 'ended by SIGKILL', model: '' }])
  t.same(orphan, [])
  const host = hostStatus.read(`${lines[0]}\nworker id=ab error='it''s full'\nclass name=large model=m memory=7\n`)
  t.match(host, { worker: [{ id: 'ab', error: "it's full" }], class: [{ name: 'large', model: 'm', memory: 7 }] })
})

t.test('an attribute that is not in the table cannot be written', async t => {
  // @ts-expect-error a misspelt attribute
  status.line('server', { queued: 1 })
  // @ts-expect-error a number as text
  status.line('server', { slots: '1' })
  // @ts-expect-error an attribute of another record
  status.line('model', { slots: 1 })
  // @ts-expect-error a record of another file
  taskStatus.line('session', { id: '1' })
  t.pass('it does not compile')
})

t.test('what a program does not know, or cannot use, hides nothing else', async t => {
  const text = [
    "server name=a kind=galaxy id='' version='1 2' slots=-1 active=2 colour=red",
    'star name=b',
    'worker name=a/b slots=1',
    'worker slots=1',
    'worker name=worker-0002 slots=1e99 active=1 tok_s=NaN model=m colour=red',
    'model name=m size=1e99 loaded=perhaps digest=x context=8',
  ].join('\n')
  const { server, worker, model } = status.read(text)
  t.match(server, { name: 'a', kind: 'server', id: '', version: '', slots: 0, active: 2 })
  t.notOk('colour' in server)
  t.match(worker, [{ name: 'worker-0002', slots: 0, active: 1, tok_s: 0, model: 'm' }])
  t.equal(worker.length, 1)
  t.match(model, [{ name: 'm', size: 0, loaded: false, digest: '', context: 8 }])
})

t.test('a text that is not such a file is refused with a sentence', async t => {
  t.throws(() => status.read(''), bad('status: expected a server record at the beginning'))
  t.throws(() => status.read('task id=1\n'), bad('status: expected a server record at the beginning'))
  t.throws(() => status.read("server name='a"), bad('status: line 1: a quote is not closed'))
  t.throws(() => taskStatus.read('task id=a/b\n'), bad('task: id: expected a number, not "a/b"'))
  t.throws(() => taskStatus.read(' '.repeat(MAX_WHOLE + 1)), bad('task: 67108865 characters, at most 67108864'))
  t.throws(() => status.read(`server\n${'\n'.repeat(1_000_000)}`), bad('status: 1000002 lines, at most 1000000'))
})

t.test('the counts of a task and of a session are absent until they are known', async t => {
  t.same(taskStatus.read('task id=41 state=queued user=ann position=2 tries=0\n').task, {
    id: '41',
    state: 'queued',
    user: 'ann',
    worker: '',
    position: 2,
    tries: 0,
  })
  t.same(sessionStatus.read("session id=7 user=ann state=idle messages=4 error='context full'\n").session, {
    id: '7',
    user: 'ann',
    state: 'idle',
    messages: 4,
    error: 'context full',
  })
})

t.test('the number of a new session is a number, and nothing that leads elsewhere in the tree', async t => {
  t.equal(sessionNumber('41\n'), '41')
  for (const text of ['', '../1', '4 1', '1'.repeat(17), '-1'])
    t.throws(() => sessionNumber(text), { code: 'badMessage' })
})

t.test('rows are the records as they stand, with what this version does not know', async t => {
  t.same(rows("server a=1 colour='dark red'\nstar b=2\n", 'status'), [
    { record: 'server', a: '1', colour: 'dark red' },
    { record: 'star', b: '2' },
  ])
  t.throws(() => rows("a='", 'status'), bad('status: line 1: a quote is not closed'))
})

t.test('docs/files.md shows only attributes that there are', async t => {
  const docs = readFileSync(new URL('../../../docs/files.md', import.meta.url), 'utf8')
  const known: Readonly<Record<string, readonly string[]>> = {
    ...status.attributes,
    ...taskStatus.attributes,
    ...sessionStatus.attributes,
  }
  const samples = [...docs.matchAll(/^(?: {4}|.*`)(server|model|worker|task|session) (\w+=.*)$/gm)]
  t.same(new Set(samples.map(([, word]) => word)), new Set(['server', 'model', 'worker', 'task', 'session']))
  for (const [, word = '', line = ''] of samples)
    for (const [, name = ''] of line.matchAll(/(\w+)=/g)) t.ok(known[word]!.includes(name), `${word} ${name}`)
  const table = docs.slice(docs.indexOf('| attribute | |'), docs.indexOf('`state` is one of these:'))
  const listed = table
    .split('\n')
    .flatMap(row => [...(row.split('|')[1] ?? '').matchAll(/`(\w+)/g)].map(([, name]) => name!))
  t.ok(listed.length > 15, `${listed.length} attributes`)
  const all = Object.values(status.attributes).flat()
  for (const name of listed) t.ok(all.includes(name), name)
})
