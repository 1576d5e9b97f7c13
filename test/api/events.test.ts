/** Tests the table of events: what is written by it is read by it, and the documents list the same kinds. */
import { readFileSync } from 'node:fs'
import t from 'tap'
import { type EventAttributes, events, parseEvent } from '../../api/events.js'
import { MAX_EVENT, parseExit } from '../../api/exit.js'
import { EventLog } from '../../fs/kit/event-log.js'

/** A log, and the lines that were added to it. */
function logged() {
  const lines: string[] = []
  return { lines, log: new EventLog<EventAttributes>(undefined, line => lines.push(line)) }
}

t.test('an event that is written by the table is read by it', async t => {
  const { log, lines } = logged()
  log.add('task-started', { task: '41', user: 'ann', worker: 'worker-0001' })
  log.add('worker-exited', { id: 'ab', boot: 'cd', class: 'large', signal: 'SIGKILL', cause: 'killed' })
  log.add('draining')
  const [started, exited, draining] = lines.map(line => parseEvent(line)!)
  t.match(started, { seq: 1, time: /^\d{4}-.*Z$/, kind: 'task-started', attrs: { task: '41', user: 'ann' } })
  t.match(started!.known, { kind: 'task-started', task: '41', user: 'ann', worker: 'worker-0001' })
  t.match(exited!.known, { kind: 'worker-exited', id: 'ab', boot: 'cd', signal: 'SIGKILL' })
  t.same(parseExit(lines[1]!), { boot: 'cd', signal: 'SIGKILL', cause: 'killed' })
  t.same(draining!.known, { kind: 'draining' })
  t.same(draining!.attrs, {})
})

t.test('an event or an attribute that is not in the table cannot be written', async t => {
  const { log } = logged()
  // @ts-expect-error a misspelt kind
  log.add('task-startet', { task: '41' })
  // @ts-expect-error a misspelt attribute
  log.add('task-started', { number: '41' })
  // @ts-expect-error a number as text
  log.add('worker-suspect', { missed: '2' })
  t.pass('it does not compile')
})

t.test('a reader tolerates kinds and attributes that it does not know, or cannot use', async t => {
  t.same(parseEvent("seq=7 time=t kind=star-born name='a b'"), {
    seq: 7,
    time: 't',
    kind: 'star-born',
    attrs: { name: 'a b' },
    known: undefined,
  })
  t.match(parseEvent('seq=x kind=poison task=1 deaths=-1 colour=red'), {
    seq: 0,
    time: '',
    attrs: { deaths: '-1', colour: 'red' },
    known: { kind: 'poison', task: '1', user: '' },
  })
  t.match(parseEvent('kind=worker-exited boot=a/b'), { attrs: { boot: 'a/b' }, known: undefined })
  t.match(parseEvent('kind=toString'), { known: undefined })
  for (const line of ['', 'lost=12', '# no event', 'word']) t.equal(parseEvent(line), undefined, line)
  t.throws(() => parseEvent("kind='a"), { name: 'Unfit' })
  t.throws(() => parseEvent('x'.repeat(MAX_EVENT + 1)), { name: 'Unfit' })
})

/** The words in code in the lists of kinds in a document: kinds, and some of their attributes. */
function listed(): Set<string> {
  const text = (file: string) => readFileSync(new URL(`../../../docs/${file}`, import.meta.url), 'utf8')
  const [files, cluster] = [text('files.md'), text('cluster.md')]
  const root = files.slice(files.indexOf('The kinds at the root:'), files.indexOf('On a mount, a read that would wait'))
  const from = cluster.indexOf('The events of a host:')
  const host = cluster.slice(from, cluster.indexOf('\n## ', from))
  const words = [...`${root}${host}`.matchAll(/`([^`]+)`/g)].flatMap(([, code]) => code!.split(' '))
  return new Set(words)
}

t.test('docs/files.md and docs/cluster.md list the kinds of the table and no others', async t => {
  const words = listed()
  t.ok(words.size > 50, `${words.size} words`)
  const kinds = Object.keys(events)
  t.same(
    kinds.filter(kind => !words.has(kind)),
    [],
    'kinds that no document lists',
  )
  const attributes = Object.values(events).flatMap(shape => Object.keys(shape))
  // a file, and the values of `cause`
  const known = new Set([...kinds, ...attributes, 'ctl', 'stopped', 'killed', 'crashed'])
  t.same(
    [...words].filter(word => !known.has(word)),
    [],
    'words of the documents that are neither a kind nor an attribute',
  )
})
