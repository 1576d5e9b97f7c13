import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { History } from '../../../ctl/common/terminal/history.js'
import { usr } from '../../../ctl/common/usr.js'
import type { File } from '../../../fs/file.js'
import { OREAD, OTRUNC, OWRITE } from '../../../fs/protocol.js'

const owner = { name: 'ann', uid: 1000 }
const ctx = { user: { ...owner, role: 'admin' as const }, signal: new AbortController().signal }
const bytes = (text: string) => new TextEncoder().encode(text)

/** A user's files, and where they are on disk. */
async function files(t: Test) {
  const dir = t.testdir()
  const env = { HOME: dir }
  const walk = async (...names: string[]): Promise<File> => {
    let file = usr(env, owner)
    for (const name of names) file = (await file.walk!(name, ctx))!
    return file
  }
  const conf = await walk('llambo', 'limbot.conf')
  return { walk, conf, path: join(dir, '.config/llambo/limbot.conf'), state: join(dir, '.local/state/llambo') }
}

async function text(file: File): Promise<string> {
  const opened = await file.open(OREAD, ctx)
  return Buffer.from(await opened.read!(0, 65536, ctx)).toString()
}

/** As a program writes: opened, written piece by piece, closed. */
async function write(file: File, mode: number, ...pieces: string[]): Promise<void> {
  const opened = await file.open(mode, ctx)
  try {
    // a shell closes another descriptor of it first
    await opened.sync!(ctx)
    let at = mode & OTRUNC ? 0 : (await text(file)).length
    for (const piece of pieces) at += await opened.write!(at, bytes(piece), ctx)
    await opened.sync!(ctx)
  } finally {
    await opened.close!()
  }
}

t.test('what was typed, an entry a line, its further lines behind a tab', async t => {
  const { walk, state } = await files(t)
  const file = await walk('llambo', 'limbot-history.txt')
  t.equal(await text(file), '')
  const history = new History(join(state, 'limbot_history'))
  for (const entry of ['one', 'two\nlines']) history.add(entry)
  t.equal(await text(file), 'one\ntwo\n\tlines\n')
})

t.test('they are for their user alone', async t => {
  const { walk, conf } = await files(t)
  const modes = [await walk(), await walk('llambo'), await walk('llambo', 'limbot-history.txt'), conf]
  t.same(await Promise.all(modes.map(async file => (await file.attributes(ctx)).mode)), [0o700, 0o700, 0o400, 0o600])
})

t.test('a configuration is written whole, or not at all', async t => {
  const { conf, path } = await files(t)
  t.equal(await text(conf), '')
  await write(conf, OWRITE | OTRUNC, 'stats: off\n')
  t.equal(readFileSync(path, 'utf8'), 'stats: off\n')
  await write(conf, OWRITE, 'temper', 'ature: 0.5\n')
  t.equal(await text(conf), 'stats: off\ntemperature: 0.5\n')
  const before = readFileSync(path, 'utf8')
  await t.rejects(write(conf, OWRITE | OTRUNC, 'stats: on\nstast: on\n'), {
    message: /^bad argument: limbot\.conf:2: stast: unknown setting/,
  })
  await t.rejects(write(conf, OWRITE, 'temperature: 9'), { message: /^bad argument: limbot\.conf:3: / })
  await t.rejects(write(conf, OWRITE | OTRUNC, '- a\n'), { message: /the file must hold settings with values/ })
  await t.rejects(write(conf, OWRITE | OTRUNC, 'system: "a'), { message: /^bad argument: limbot\.conf:1: / })
  t.equal(readFileSync(path, 'utf8'), before)
  t.equal(await text(conf), before)
  await write(conf, OWRITE | OTRUNC, 'system: "two\n', '  lines"\n')
  t.equal(await text(conf), 'system: "two\n  lines"\n')
  await write(conf, OWRITE | OTRUNC)
  t.equal(readFileSync(path, 'utf8'), '')
})

t.test(
  'a write whose YAML nothing could complete is refused itself: a shell does not look at what closing says',
  async t => {
    const { conf } = await files(t)
    for (const wrong of [
      'stats: off: on',
      'stats: off\nfoo',
      'stats: off\n\tsave: off',
      'system: "a" b',
      'stats: on\nstats: off',
      'x: }',
    ]) {
      const opened = await conf.open(OWRITE | OTRUNC, ctx)
      await t.rejects(
        async () => opened.write!(0, bytes(`${wrong}\n`), ctx),
        { message: /^bad argument: limbot\.conf:/ },
        wrong,
      )
      await opened.close!()
    }
    for (const begun of ['system: "a', "system: 'a", 'system: |', '"stats']) {
      const opened = await conf.open(OWRITE | OTRUNC, ctx)
      await t.resolves(async () => opened.write!(0, bytes(`${begun}\n`), ctx), begun)
      await opened.close!()
    }
    t.equal(await text(conf), 'system: |\n')
  },
)

t.test('nothing is made before there is something to keep', async t => {
  const { conf, path } = await files(t)
  await write(conf, OWRITE)
  t.notOk(existsSync(path))
})
