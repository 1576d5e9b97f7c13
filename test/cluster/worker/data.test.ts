/** Tests of the `data` file. */
import t from 'tap'
import { createEchoEngine } from '../../../cluster/worker/engine/echo.js'
import { OREAD, OWRITE } from '../../../fs/wire/protocol.js'
import { readAll, rig } from './fixture.js'

const slow = (rate: number) => () => createEchoEngine({ rate, slots: 2 })
const bytes = (s: string) => new TextEncoder().encode(s)

t.test('a prompt written and closed is answered to the next reader', async t => {
  const ann = await (await rig(t)).as('ann')
  await ann.write('data', 'red green\n')
  t.equal(await ann.read('data'), '0:red 1:green\n')
  t.equal(await ann.read('data'), '0:red 1:green\n', 'again, from the start')
})

t.test('a fid that wrote a prompt reads its own answer, from any offset', async t => {
  const ann = await (await rig(t)).as('ann')
  t.equal(await ann.ask('data', 'mine'), '0:mine\n')
  const fid = await ann.open('data')
  await fid.write(0, bytes('offset'))
  const first = await fid.read(6, 100)
  t.match(new TextDecoder().decode(first), /^0:off/, 'the answer begins at the offset of the first read')
  await fid.clunk()
})

t.test('several writes are one prompt, and a character may be cut between them', async t => {
  const ann = await (await rig(t)).as('ann')
  const fid = await ann.open('data', OWRITE)
  const all = bytes('grün weiß\n')
  for (const byte of all) await fid.write(0, Uint8Array.of(byte))
  await fid.clunk()
  t.equal(await ann.read('data'), '0:grün 1:weiß\n')
})

t.test('an empty prompt is refused, and the previous answer is not shown in its place', async t => {
  const ann = await (await rig(t)).as('ann')
  await ann.write('data', 'hello')
  t.equal(await ann.read('data'), '0:hello\n')
  await ann.write('data', ' \n\n')
  await t.rejects(ann.read('data'), { message: 'bad argument: the prompt is empty; write some text', errno: 22 })
  t.match(
    await ann.read('error'),
    /^\d{4}-\d\d-\d\dT[\d:.]+Z data: bad argument: the prompt is empty; write some text\n$/,
  )

  await ann.write('data', '')
  t.same(await ann.names('task'), ['1'], 'opening and closing without a write is not a prompt')
  await ann.write('data', 'again')
  t.equal(await ann.read('data'), '0:again\n')
  t.equal(await ann.read('error'), '', 'the error is cleared')
})

t.test('users see only their own answers', async t => {
  const llambo = await rig(t)
  const [ann, bob] = [await llambo.as('ann'), await llambo.as('bob')]
  await ann.write('data', 'secret')
  t.equal(await bob.read('data'), '')
  await bob.write('data', 'open')
  t.equal(await ann.read('data'), '0:secret\n')
  t.same(await ann.names('task'), ['1'])
  t.same(await bob.names('task'), ['2'])
  await t.rejects(bob.read('task/1/answer'), { message: 'file does not exist', errno: 2 })
  const admin = await llambo.as('root')
  t.same(await admin.names('task'), ['1', '2'], 'an admin sees that the tasks exist')
  t.match(await admin.read('task/1/status'), /user=ann/)
  await t.rejects(admin.read('task/1/prompt'), { message: 'permission denied' })
  await t.rejects(admin.read('task/1/answer'), { message: 'permission denied' })
})

t.test('a read returns what is there, and the next one waits for more', async t => {
  const ann = await (await rig(t, slow(20))).as('ann')
  const fid = await ann.open('data')
  await fid.write(0, bytes('a b c d e'))
  const first = await fid.read(0, 1000)
  t.ok(first.length < '0:a 1:b 2:c 3:d 4:e\n'.length, `a first read of ${first.length} bytes`)
  let all = new TextDecoder().decode(first)
  for (let piece = first; piece.length > 0; ) {
    piece = await fid.read(all.length, 1000)
    all += new TextDecoder().decode(piece)
  }
  t.equal(all, '0:a 1:b 2:c 3:d 4:e\n')
  t.equal((await fid.read(all.length, 10)).length, 0, 'the end stays the end')
  await fid.clunk()
})

t.test('an interrupted read does not affect the answer', async t => {
  const ann = await (await rig(t, slow(2))).as('ann')
  await ann.write('data', 'a b c d')
  const fid = await ann.open('data', OREAD)
  const stop = new AbortController()
  const begun = (await fid.read(0, 100)).length
  const waiting = fid.read(begun, 100, stop.signal)
  stop.abort()
  await t.rejects(waiting, { message: 'interrupted', errno: 4 })
  await fid.clunk()
  t.equal(await ann.read('data'), '0:a 1:b 2:c 3:d\n')
})

t.test(
  'an exchange submitted by closing runs on without a reader; one submitted by reading ends with its fid',
  async t => {
    const ann = await (await rig(t, slow(200))).as('ann')
    await ann.write('data', 'w x20')
    const fid = await ann.open('data')
    await fid.write(0, bytes('w x2000'))
    await fid.read(0, 1)
    await fid.clunk()
    t.match(await ann.read('task/2/status'), /state=cancelled/)
    const answer = await ann.read('task/1/answer')
    t.equal(answer.trim().split(' ').length, 20)
  },
)

t.test('a second prompt on one fid replaces the old answer, but not while that is running', async t => {
  const ann = await (await rig(t, slow(100))).as('ann')
  const fid = await ann.open('data')
  await fid.write(0, bytes('a b c d e f g h'))
  await fid.read(0, 1)
  await t.rejects(fid.write(0, bytes('more')), { message: /^fid in use/, errno: 9 })
  await readAll(fid)
  await fid.write(0, bytes('again'))
  t.equal(await readAll(fid), '0:again\n')
  await fid.clunk()
})

t.test('an invalid prompt fails its write, and is the newest exchange', async t => {
  const ann = await (await rig(t)).as('ann')
  await ann.write('data', 'good')
  await t.rejects(ann.write('data', 'x'.repeat(1024 * 1024 + 1)), { message: /^prompt too long/, errno: 27 })
  await t.rejects(
    ann.read('data'),
    { message: /^prompt too long/ },
    'the next reader gets the error, not the previous answer',
  )
  t.match(await ann.read('error'), /prompt too long: over 1048576 bytes/)
  await t.rejects(ann.write('data', Uint8Array.of(0xff, 0xfe)), { message: 'prompt is not UTF-8', errno: 84 })
  await ann.write('data', Uint8Array.of(0x61, 0xc3)) // incomplete: known only at the submission
  await t.rejects(ann.read('data'), { message: 'prompt is not UTF-8' })
  await ann.write('data', 'still here')
  t.equal(await ann.read('data'), '0:still 1:here\n')
})

t.test('200 kB in many writes are one prompt', async t => {
  const ann = await (await rig(t)).as('ann')
  const prompt = 'word '.repeat(40_000)
  await ann.write('data', `${prompt}\n`)
  const [task] = await ann.names('task')
  t.equal((await ann.read(`task/${task}/prompt`)).length, prompt.length + 1)
})

t.test('two hundred simultaneous fids get the answers to their own prompts', async t => {
  const ann = await (await rig(t)).as('ann')
  const answers = await Promise.all(Array.from({ length: 200 }, (_, i) => ann.ask('data', `client ${i}`)))
  answers.forEach((answer, i) => {
    if (answer !== `0:client 1:${i}\n`) t.fail(`client ${i} got ${answer}`)
  })
  t.equal(new Set(answers).size, 200)
})

t.test('an error in the middle of an answer leaves the text before it readable', async t => {
  const broken = () => ({
    ...createEchoEngine({}),
    async *generate() {
      yield { event: 'start' as const, prompt_tokens: 1, reused: 0 }
      yield { event: 'token' as const, text: 'half', ids: [1] }
      throw new Error('the engine broke')
    },
  })
  const ann = await (await rig(t, broken)).as('ann')
  await ann.write('data', 'go')
  const fid = await ann.open('data', OREAD)
  t.equal(new TextDecoder().decode(await fid.read(0, 100)), 'half')
  await t.rejects(fid.read(4, 100), { message: /i\/o error/, errno: 5 })
  await t.rejects(fid.read(4, 100), { message: /i\/o error/, errno: 5 }, 'at each read')
  t.equal(new TextDecoder().decode(await fid.read(0, 100)), 'half')
  await fid.clunk()
})
