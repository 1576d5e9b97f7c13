/** A cluster whose long answers and transcripts go to the disk. */
import t from 'tap'
import { Budget } from '../../../cluster/root/budget.js'
import { parseRecords } from '../../../fs/base/quote.js'
import { Disk } from '../disk.js'
import { events, rig, text, until } from './fixture.js'

/** A prompt that echo answers with some 300 kB. */
const prompt = `${'y'.repeat(3000)} x100`

t.test('the texts of a session and of its task are on the disk, read as before, and go with them', async t => {
  const disk = new Disk()
  const cluster = await rig(t, [{}], { spill: disk })
  const ann = await cluster.as('ann')
  const id = await ann.session()
  const answer = await ann.ask(`session/${id}/data`, prompt)
  t.ok(answer.length > 300_000)
  const { attrs } = parseRecords(await ann.read(`session/${id}/status`))[0]!
  await until(() => disk.files.size === 3)
  t.equal(await ann.read(`task/${attrs.task}/answer`), answer)
  const lines = (await ann.read(`task/${attrs.task}/stream`)).trim().split('\n')
  t.equal(`${text(lines.map(line => JSON.parse(line)))}\n`, answer)
  const transcript = `user: ${prompt}\nassistant: ${answer}\n`
  t.equal(await ann.read(`session/${id}/log`), transcript)
  t.match(await ann.read(`session/${id}/history`), answer.trim(), 'the history is whole')
  t.equal(await ann.ask(`session/${id}/data`, 'red'), '0:red\n', 'the next turn goes on from it')
  t.equal(await ann.read(`session/${id}/log`), `${transcript}user: red\nassistant: 0:red\n\n`)

  await (await ann.root.walk(['session', id])).remove()
  await until(() => disk.files.size === 2)
  await (await ann.root.walk(['task', attrs.task!])).remove()
  await until(() => disk.files.size === 0)
})

t.test('a full disk is logged once, and answers are kept all the same', async t => {
  const disk = new Disk()
  disk.full = true
  const cluster = await rig(t, [{}], { spill: disk })
  const ann = await cluster.as('ann')
  const answers = [await ann.ask('data', prompt), await ann.ask('data', prompt)]
  for (const [i, answer] of answers.entries()) t.equal(await ann.read(`task/${i + 1}/answer`), answer)
  t.match(await events(cluster, 'not-spilled'), [{ error: 'ENOSPC: no space left on device, write' }])
  t.equal((await events(cluster, 'not-spilled')).length, 1)
  t.match(await ann.read('metrics'), /^llambo_spill_failing 1$/m)
})

t.test('when memory is short, an answer in memory is forgotten, and an older answer on the disk stays', async t => {
  const disk = new Disk()
  const cluster = await rig(t, [{}], { spill: disk, budget: new Budget({ limit: 2e6 }) })
  const ann = await cluster.as('ann')
  const answer = await ann.ask('data', prompt)
  await until(() => disk.files.size === 2)
  disk.full = true
  t.equal(await ann.ask('data', prompt), answer)
  t.equal(await ann.ask('data', prompt), answer)
  t.match(await events(cluster, 'tasks-forgotten'), [{ tasks: '1' }])
  t.same((await ann.names('task')).sort(), ['1', '3'])
  t.equal(await ann.read('task/1/answer'), answer)
})
