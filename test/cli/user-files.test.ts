/** Tests `/usr/llambo`: limbot's history and configuration as files. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { History } from '../../cli/terminal/history.js'
import { usr } from '../../cli/user-files.js'
import type { File } from '../../fs/file.js'
import { OREAD, OTRUNC, OWRITE } from '../../fs/wire/protocol.js'

const owner = { name: 'ann', uid: 1000 }
const ctx = { user: { ...owner, role: 'admin' as const }, signal: new AbortController().signal }
const bytes = (text: string) => new TextEncoder().encode(text)

/** A user's files in the tree, and their paths on the disk. */
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

/** Writes as a shell does: opens the file, writes piece by piece, and closes it. */
async function write(file: File, mode: number, ...pieces: string[]): Promise<void> {
  const opened = await file.open(mode, ctx)
  try {
    // a shell first closes a duplicate descriptor
    await opened.sync!(ctx)
    let at = mode & OTRUNC ? 0 : (await text(file)).length
    for (const piece of pieces) at += await opened.write!(at, bytes(piece), ctx)
    await opened.sync!(ctx)
  } finally {
    await opened.close!()
  }
}

t.test('the history has an entry a line, and further lines of an entry begin with a tab', async t => {
  const { walk, state } = await files(t)
  const file = await walk('llambo', 'limbot-history.txt')
  t.equal(await text(file), '')
  const history = new History(join(state, 'limbot_history'))
  for (const entry of ['one', 'two\nlines']) history.add(entry)
  t.equal(await text(file), 'one\ntwo\n\tlines\n')
})

t.test('the files are private to their user', async t => {
  const { walk, conf } = await files(t)
  const modes = [await walk(), await walk('llambo'), await walk('llambo', 'limbot-history.txt'), conf]
  t.same(await Promise.all(modes.map(async file => (await file.attributes(ctx)).mode)), [0o700, 0o700, 0o400, 0o600])
})

t.test('a configuration is written whole or not at all', async t => {
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
  'a write of YAML that more text cannot complete fails at once, because a shell ignores the error of a close',
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

t.test('a file is not created before there is something to keep', async t => {
  const { conf, path } = await files(t)
  await write(conf, OWRITE)
  t.notOk(existsSync(path))
})
