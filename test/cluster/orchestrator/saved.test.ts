/** How a session is stored: a turn is appended to its file, and any other change writes the whole file again. */
import t from 'tap'
import { parseSession, sessionText, turnText } from '../../../api/session.js'
import { Saver, type Store } from '../../../cluster/orchestrator/saved.js'
import { memoryStore, rig } from './fixture.js'

const settled = () => new Promise(resolve => setTimeout(resolve, 20))

/** A store in memory that counts the characters written, and fails while `full`. */
function counting(files = new Map<string, string>()) {
  const of = { files, written: 0, full: false, store: memoryStore(files) as Store }
  const { write, append } = of.store
  of.store = {
    ...of.store,
    async write(name, text) {
      of.written += text.length
      if (of.full) throw new Error('ENOSPC')
      await write(name, text)
    },
    async append(name, text) {
      of.written += text.length
      if (of.full) {
        // like a disk that becomes full in the middle of the write
        await append(name, text.slice(0, text.length / 2))
        throw new Error('ENOSPC')
      }
      await append(name, text)
    },
  }
  return of
}

const saved = { user: { name: 'ann', uid: 1, role: 'use' as const }, settings: { sampling: {}, system: '' }, ttl: 600 }
const question = { role: 'user', content: 'red' } as const
const answer = { role: 'assistant', content: '0:red\nblue' } as const

t.test('a stored session is its first line and the turns after it; a turn that was cut off is left out', async t => {
  const whole = sessionText({ ...saved, history: [question, answer] })
  t.same(parseSession(whole.trim()).history, [question, answer], 'the format of earlier versions')
  t.same(parseSession(whole).history, [question, answer])
  const two = whole + turnText([question, { ...answer, stopped: true }])
  t.match(parseSession(two).history, [question, answer, question, { ...answer, stopped: true }])
  for (let cut = whole.length; cut < two.length; cut++)
    t.same(parseSession(two.slice(0, cut)).history, [question, answer])
  t.throws(() => parseSession(`${whole}[1]\n`), /turn/)
  t.throws(() => parseSession(`${whole}garbage\n${turnText([question])}`), /turn: not JSON/)
})

t.test('a turn is appended to its file; a file of another server, or after a failure, is written whole', async t => {
  const disk = counting()
  const failures: string[] = []
  const saver = new Saver(disk.store, (name, error) => failures.push(`${name}: ${error.message}`))
  let text = 'one\n'
  const add = (more: string) => {
    text += more
    saver.save('a', () => text, more)
  }
  disk.files.set('a', 'of another server')
  add('two\n')
  await saver.settled()
  t.equal(disk.files.get('a'), text, 'the first write is whole')
  disk.written = 0
  add('three\n')
  add('four\n')
  await saver.settled()
  t.same([disk.files.get('a'), disk.written], [text, 'three\nfour\n'.length])

  disk.full = true
  add('five\n')
  await saver.settled()
  add('six\n')
  await saver.settled()
  t.same(failures, ['a: ENOSPC'], 'the failure is reported once')
  disk.full = false
  add('seven\n')
  await saver.settled()
  t.equal(disk.files.get('a'), text, 'nothing is left of the failed write')
  saver.save('a', undefined)
  await saver.settled()
  add('eight\n')
  await saver.settled()
  t.equal(disk.files.get('a'), text)
})

t.test('a long session is written once, not once for each turn, and the next server has all of it', async t => {
  const disk = counting()
  const cluster = await rig(t, [{}], { store: disk.store })
  const ann = await cluster.as('ann')
  const id = await ann.session()
  const word = 'w'.repeat(1000)
  for (let n = 0; n < 40; n++) await ann.ask(`session/${id}/data`, `${n}${word}`)
  await settled()
  const name = `session-${id}`
  const length = disk.files.get(name)!.length
  t.ok(length > 80_000)
  t.ok(disk.written < 3 * length, `${disk.written} bytes are written for a session of ${length}`)

  const line = JSON.stringify({ role: 'user', content: 'from a program' })
  await ann.write(`session/${id}/history`, `${line}\n`)
  await ann.ask(`session/${id}/data`, 'last')
  const history = await ann.read(`session/${id}/history`)
  t.match(history, /from a program/)
  await settled()
  const again = await rig(t, [{}], { store: memoryStore(new Map(disk.files)) })
  t.equal(await (await again.as('ann')).read(`session/${id}/history`), history)
})

t.test('a turn that ends while a client writes to the history keeps what the client wrote', async t => {
  const disk = counting()
  const cluster = await rig(t, [{}], { store: disk.store })
  const ann = await cluster.as('ann')
  const id = await ann.session()
  await ann.ask(`session/${id}/data`, 'red')
  await settled()
  const fid = await ann.open(`session/${id}/history`, 1)
  await fid.write(0, Buffer.from(`${JSON.stringify({ role: 'user', content: 'between' })}\n`))
  await ann.ask(`session/${id}/data`, 'green')
  await settled()
  t.match(
    parseSession(disk.files.get(`session-${id}`)!).history.map(({ content }) => content),
    ['red', '0:red', 'between', 'green', '0:green'],
  )
})
