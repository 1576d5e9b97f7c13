/** Tests of the store of models. */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  appendFileSync,
  copyFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { MAX_UPLOADS } from '../../../cluster/worker/limits.js'
import { ModelStore, type ModelStoreOptions } from '../../../cluster/worker/models.js'
import type { Context, Opened } from '../../../fs/file.js'
import { DMDIR, OREAD, OTRUNC, OWRITE } from '../../../fs/wire/protocol.js'
import { architecture, gguf, key } from './ggufBytes.js'

const bundled = fileURLToPath(new URL('../../../../models/llambo-tiny.gguf', import.meta.url))
const owner = { name: 'ada', uid: 1000 }
const signal = new AbortController().signal
const ada: Context = { user: { ...owner, role: 'admin' }, signal }
const bob: Context = { user: { name: 'bob', uid: 1001, role: 'admin' }, signal }

function store(t: Test, o: Partial<ModelStoreOptions> = {}) {
  const dir = t.testdir()
  return { dir, models: new ModelStore(dir, { owner, ...o }) }
}

const create = (models: ModelStore, name: string, ctx = ada) =>
  Promise.resolve(models.root.create!(name, 0o644, OWRITE, ctx))
const walk = (models: ModelStore, name: string, ctx = ada) => Promise.resolve(models.root.walk!(name, ctx))
const names = async (models: ModelStore) =>
  [...(await (await models.root.open(OREAD, ada)).list!(ada))].map(([name]) => name)

async function write(opened: Opened, bytes: Uint8Array, size = 64 * 1024) {
  for (let at = 0; at < bytes.length; at += size) await opened.write!(at, bytes.subarray(at, at + size), ada)
}

/** Closes an upload that was not meant to become a model. */
const abandon = (opened: Opened) => Promise.resolve(opened.close!()).catch(() => undefined)

async function readAll(opened: Opened): Promise<Buffer> {
  const parts: Uint8Array[] = []
  for (let at = 0; ; ) {
    const part = await opened.read!(at, 100_000, ada)
    if (part.length === 0) return Buffer.concat(parts)
    parts.push(part)
    at += part.length
  }
}

t.test('a model has its real length and time and is read byte for byte', async t => {
  const { dir, models } = store(t)
  copyFileSync(bundled, join(dir, 'llambo-tiny.gguf'))
  utimesSync(join(dir, 'llambo-tiny.gguf'), 1_700_000_000, 1_700_000_001)
  t.same(await names(models), ['llambo-tiny.gguf'])
  const file = (await walk(models, 'llambo-tiny.gguf'))!
  t.match(await file.attributes(ada), {
    mode: 0o664,
    owner,
    length: 2840000,
    atime: 1_700_000_000,
    mtime: 1_700_000_001,
  })
  t.not(file.qid.version, 0)
  const opened = await file.open(OREAD, ada)
  t.ok((await readAll(opened)).equals(readFileSync(bundled)))
  t.equal((await opened.read!(2839990, 100, ada)).length, 10)
  await opened.close!()
})

t.test('the list says what each model is and why one cannot be loaded', async t => {
  const { dir, models } = store(t)
  copyFileSync(bundled, join(dir, 'llambo-tiny.gguf'))
  writeFileSync(join(dir, 'Broken.gguf'), 'GGUF')
  writeFileSync(join(dir, 'lora.gguf'), gguf({ keys: [architecture, key.string('general.type', 'adapter')] }))
  t.same(await models.list(), [
    {
      name: 'Broken',
      size: 4,
      path: join(dir, 'Broken.gguf'),
      problem: 'model file is damaged: 4 bytes, a GGUF file has at least 24',
    },
    { name: 'llambo-tiny', size: 2840000, path: join(dir, 'llambo-tiny.gguf'), architecture: 'llama', context: 1024 },
    {
      name: 'lora',
      size: statSync(join(dir, 'lora.gguf')).size,
      path: join(dir, 'lora.gguf'),
      problem: 'model file is damaged: not a model but an adapter',
    },
  ])
})

t.test('a split model is one entry of the list', async t => {
  const { dir, models } = store(t)
  const part = (no: number) => [key.u16('split.no', no), key.u16('split.count', 2)]
  writeFileSync(join(dir, 's-00001-of-00002.gguf'), gguf({ keys: [architecture, ...part(0)] }))
  t.match(await models.list(), [{ name: 's-00001-of-00002', problem: /file does not exist: s-00002-of-00002.gguf/ }])
  writeFileSync(join(dir, 's-00002-of-00002.gguf'), gguf({ keys: part(1) }))
  const listed = await models.list()
  t.equal(listed.length, 1)
  t.equal(listed[0]?.problem, undefined)
  t.equal((await names(models)).length, 2, 'while the directory shows all files')
})

t.test('a model is found by name with and without .gguf, and nothing outside the store is found', async t => {
  const { dir, models } = store(t)
  copyFileSync(bundled, join(dir, 'llambo-tiny.gguf'))
  t.equal(await models.find('llambo-tiny'), join(dir, 'llambo-tiny.gguf'))
  t.equal(await models.find('llambo-tiny.gguf'), join(dir, 'llambo-tiny.gguf'))
  mkdirSync(join(dir, 'in'))
  for (const name of [
    '',
    'none',
    '../llambo-tiny',
    `in/../llambo-tiny`,
    dir,
    bundled,
    '.',
    '..',
    'llambo-tiny.gguf\0',
  ]) {
    t.equal(await models.find(name), undefined, JSON.stringify(name))
  }
})

t.test('an uploaded model is in place when its writer has synced it, and has the bytes that were written', async t => {
  const events: unknown[] = []
  const { dir, models } = store(t, { onchange: e => events.push(e) })
  const { file, opened } = await create(models, 'Mine-Q8_0.gguf')
  const bytes = readFileSync(bundled)
  await write(opened, bytes)
  t.same(await names(models), [], 'nothing is shown before')
  t.equal((await file.attributes(ada)).length, 2840000)
  await opened.sync!(ada)
  t.same(await names(models), ['Mine-Q8_0.gguf'])
  t.same(events, [{ kind: 'model-added', name: 'Mine-Q8_0' }])
  await opened.close!()
  t.ok(readFileSync(join(dir, 'Mine-Q8_0.gguf')).equals(bytes))
  t.equal(statSync(join(dir, 'Mine-Q8_0.gguf')).mode & 0o777, 0o644)
  t.same(readdirSync(dir), ['Mine-Q8_0.gguf'])
  t.equal(await walk(models, 'Mine-Q8_0.gguf'), file, 'the created file is the file in the directory')
  const reader = await file.open(OREAD, ada)
  t.ok((await readAll(reader)).equals(bytes), 'and it can be read')
  await reader.close!()
  t.equal(events.length, 1)
})

t.test('an upload that is closed without a sync is checked and installed at close', async t => {
  const { models } = store(t)
  const { opened } = await create(models, 'a.gguf')
  await write(opened, gguf())
  await opened.close!()
  t.same(await names(models), ['a.gguf'])
})

t.test('pieces may come in any order and all at once', async t => {
  const { dir, models } = store(t)
  const { opened } = await create(models, 'a.gguf')
  const bytes = gguf()
  const pieces = Array.from({ length: Math.ceil(bytes.length / 10) }, (_, i) => i * 10).reverse()
  await Promise.all(pieces.map(at => opened.write!(at, bytes.subarray(at, at + 10), ada)))
  await opened.sync!(ada)
  await opened.close!()
  t.ok(readFileSync(join(dir, 'a.gguf')).equals(bytes))
})

t.test('a sync waits for earlier writes', async t => {
  const { models } = store(t)
  const { opened } = await create(models, 'a.gguf')
  const writing = opened.write!(0, gguf(), ada)
  await opened.sync!(ada)
  t.same(await names(models), ['a.gguf'])
  await writing
  await opened.close!()
})

t.test('a damaged upload fails its sync with the rule, and is gone after close', async t => {
  const { dir, models } = store(t)
  const { opened } = await create(models, 'a.gguf')
  await write(opened, gguf({ data: 76 }))
  const error = { message: /^model file is damaged: tensor 1 ends 120 bytes past the end of the file/, errno: 74 }
  await t.rejects(Promise.resolve(opened.sync!(ada)), error)
  await t.rejects(Promise.resolve(opened.sync!(ada)), error, 'also a second time')
  t.equal(readdirSync(dir).length, 1, 'it is kept while it may still be completed')
  await opened.close!()
  t.same(readdirSync(dir), [])
  t.equal(await walk(models, 'a.gguf'), undefined)
})

t.test('an upload that was synced too early is completed by later writes', async t => {
  const { models } = store(t)
  const { opened } = await create(models, 'a.gguf')
  const bytes = gguf()
  await opened.write!(0, bytes.subarray(0, 100), ada)
  await t.rejects(Promise.resolve(opened.sync!(ada)), { message: /damaged/ })
  await opened.write!(100, bytes.subarray(100), ada)
  await opened.sync!(ada)
  await opened.close!()
  t.same(await names(models), ['a.gguf'])
})

t.test('a damaged upload that is closed without a sync fails its close', async t => {
  const { dir, models } = store(t)
  const { opened } = await create(models, 'a.gguf')
  await write(opened, Buffer.from('not a model'))
  await t.rejects(Promise.resolve(opened.close!()), { message: /damaged: 11 bytes/ })
  t.same(readdirSync(dir), [])
  const again = await create(models, 'a.gguf')
  await t.rejects(
    Promise.resolve(again.opened.close!()),
    { message: /damaged: 0 bytes/ },
    'an empty upload fails its close too',
  )
  t.same(readdirSync(dir), [])
})

t.test('a writer that continues after its sync cannot change the finished model', async t => {
  const { dir, models } = store(t)
  const { opened } = await create(models, 'a.gguf')
  await write(opened, gguf())
  await opened.sync!(ada)
  await t.rejects(Promise.resolve(opened.write!(0, Buffer.from('XXXX'), ada)), {
    message: /file in use: a.gguf is already complete/,
  })
  await opened.close!()
  t.ok(readFileSync(join(dir, 'a.gguf')).equals(gguf()))
})

t.test('a model is replaced as a whole, and open readers keep reading the old one', async t => {
  const { dir, models } = store(t)
  copyFileSync(bundled, join(dir, 'a.gguf'))
  const file = (await walk(models, 'a.gguf'))!
  const reader = await file.open(OREAD, ada)
  const version = file.qid.version
  const writer = await file.open(OWRITE | OTRUNC, ada)
  await file.truncate!(ada)
  await t.rejects(Promise.resolve(file.open(OWRITE, ada)), { message: /file in use: a.gguf is being replaced/ })
  await write(writer, gguf())
  t.equal((await file.attributes(ada)).length, 2840000, 'nothing has changed before it is complete')
  await writer.sync!(ada)
  await writer.close!()
  t.equal((await file.attributes(ada)).length, gguf().length)
  t.not(file.qid.version, version)
  t.ok((await readAll(reader)).equals(readFileSync(bundled)))
  await reader.close!()
  const later = await file.open(OREAD, ada)
  t.ok((await readAll(later)).equals(gguf()))
  await later.close!()
  t.same(readdirSync(dir), ['a.gguf'])
})

t.test('a failed replacement leaves the model unchanged', async t => {
  const { dir, models } = store(t)
  copyFileSync(bundled, join(dir, 'a.gguf'))
  const file = (await walk(models, 'a.gguf'))!
  for (const bytes of [Buffer.from('GGUF'), Buffer.alloc(0)]) {
    const writer = await file.open(OWRITE | OTRUNC, ada)
    await write(writer, bytes)
    await t.rejects(Promise.resolve(writer.sync!(ada)), { message: /damaged/ })
    await writer.close!()
  }
  const touched = await file.open(OWRITE, ada)
  await touched.sync!(ada)
  await touched.close!()
  t.ok(readFileSync(join(dir, 'a.gguf')).equals(readFileSync(bundled)))
  t.same(readdirSync(dir), ['a.gguf'])
})

t.test('a finished model cannot be cut short or renamed in place', async t => {
  const { dir, models } = store(t)
  copyFileSync(bundled, join(dir, 'a.gguf'))
  const file = (await walk(models, 'a.gguf'))!
  await t.rejects(Promise.resolve(file.truncate!(ada)), {
    message: /permission denied: a model can only be replaced as a whole/,
  })
  await t.rejects(Promise.resolve(file.change!({ length: 5 }, ada)), { message: /replaced as a whole/ })
  await t.rejects(Promise.resolve(file.change!({ name: 'b.gguf' }, ada)), { message: /cannot be renamed/ })
  const writer = await file.open(OWRITE, bob)
  await t.rejects(Promise.resolve(file.truncate!(ada)), { message: /replaced as a whole/ }, "nor another user's upload")
  await writer.close!()
  t.equal(statSync(join(dir, 'a.gguf')).size, 2840000)
})

t.test('an upload is visible only to its own user', async t => {
  const { models } = store(t)
  const { file, opened } = await create(models, 'a.gguf')
  t.equal(await walk(models, 'a.gguf'), file)
  t.equal(await walk(models, 'a.gguf', bob), undefined)
  await t.rejects(create(models, 'a.gguf', bob), { message: /file in use: a.gguf is being written/ })
  await t.rejects(Promise.resolve(file.open(OREAD, ada)), { message: /being written/ })
  await abandon(opened)
  t.equal(await walk(models, 'a.gguf'), undefined)
})

t.test('only names of model files can be created, and none that lead elsewhere', async t => {
  const { dir, models } = store(t)
  const bad = [
    'a',
    '.gguf',
    '.a.gguf',
    '-a.gguf',
    'a b.gguf',
    'a/b.gguf',
    '../a.gguf',
    'a.gguf.part',
    'é.gguf',
    'a\n.gguf',
  ]
  for (const name of [...bad, `${'a'.repeat(201)}.gguf`]) {
    await t.rejects(create(models, name), { message: /^bad file name: / }, JSON.stringify(name))
  }
  await t.rejects(Promise.resolve(models.root.create!('a.gguf', DMDIR, OREAD, ada)), {
    message: /cannot have subdirectories/,
  })
  copyFileSync(bundled, join(dir, 'a.gguf'))
  await t.rejects(create(models, 'a.gguf'), { message: 'file exists: a.gguf' })
  t.same(readdirSync(dir), ['a.gguf'])
})

t.test('only regular files and links to them are shown, and an upload replaces the link, not its target', async t => {
  const { dir, models } = store(t)
  const elsewhere = `${t.testdirName}-elsewhere.gguf`
  copyFileSync(bundled, elsewhere)
  t.teardown(() => unlinkSync(elsewhere))
  mkdirSync(join(dir, 'dir.gguf'))
  symlinkSync('nowhere', join(dir, 'dangling.gguf'))
  symlinkSync('/dev/zero', join(dir, 'device.gguf'))
  spawnSync('mkfifo', [join(dir, 'pipe.gguf')])
  writeFileSync(join(dir, '.hidden.gguf'), '')
  writeFileSync(join(dir, 'readme.txt'), '')
  symlinkSync(elsewhere, join(dir, 'link.gguf'))
  t.same(await names(models), ['link.gguf'])
  for (const name of ['dir.gguf', 'dangling.gguf', 'device.gguf', 'pipe.gguf', '.hidden.gguf', 'readme.txt']) {
    t.equal(await walk(models, name), undefined, name)
  }
  const file = (await walk(models, 'link.gguf'))!
  t.equal((await file.attributes(ada)).length, 2840000)
  const writer = await file.open(OWRITE | OTRUNC, ada)
  await write(writer, gguf())
  await writer.close!()
  t.equal(statSync(elsewhere).size, 2840000)
  t.equal((await file.attributes(ada)).length, gguf().length)
})

t.test('a removed model is gone, but open readers keep reading it', async t => {
  const events: unknown[] = []
  const { dir, models } = store(t, { onchange: e => events.push(e) })
  copyFileSync(bundled, join(dir, 'a.gguf'))
  const file = (await walk(models, 'a.gguf'))!
  const reader = await file.open(OREAD, ada)
  await file.remove!(ada)
  t.same(readdirSync(dir), [])
  t.same(events, [{ kind: 'model-removed', name: 'a' }])
  t.equal((await file.attributes(ada)).length, 2840000)
  t.equal((await readAll(reader)).length, 2840000)
  await reader.close!()
  await t.rejects(Promise.resolve(file.attributes(ada)), { message: 'file does not exist: a.gguf' })
  await t.rejects(Promise.resolve(file.remove!(ada)), { message: 'file does not exist: a.gguf' })
})

t.test('the first of several directories hides names in the others, which are read-only', async t => {
  const dir = t.testdir({ own: {}, with: { 'b.gguf': 'b', 'a.gguf': 'long a' } })
  const models = new ModelStore([join(dir, 'own'), join(dir, 'with'), join(dir, 'missing')], { owner })
  writeFileSync(join(dir, 'own/a.gguf'), 'a')
  t.same(await names(models), ['a.gguf', 'b.gguf'])
  t.match(await (await walk(models, 'a.gguf'))!.attributes(ada), { mode: 0o664, length: 1 })
  const b = (await walk(models, 'b.gguf'))!
  t.equal((await b.attributes(ada)).mode, 0o444)
  await t.rejects(Promise.resolve(b.remove!(ada)), { message: /is not in the upload directory/ })
  await t.rejects(create(models, 'b.gguf'), { message: /exists/ })
  t.equal(readFileSync(join(dir, 'with/b.gguf'), 'utf8'), 'b')
})

t.test('the first upload creates the directory', async t => {
  const dir = join(t.testdir(), 'state/models')
  const models = new ModelStore(dir, { owner })
  t.same(await names(models), [])
  t.same(await models.list(), [])
  const { opened } = await create(models, 'a.gguf')
  await write(opened, gguf())
  await opened.close!()
  t.same(readdirSync(dir), ['a.gguf'])
})

t.test('the number of simultaneous uploads is limited, and one that ends makes room', async t => {
  const { dir, models } = store(t)
  const running = await Promise.all(Array.from({ length: MAX_UPLOADS }, (_, i) => create(models, `m${i}.gguf`)))
  await t.rejects(create(models, 'more.gguf'), { message: /^too many uploads at once/, errno: 16 })
  await write(running[0]!.opened, gguf())
  await running[0]!.opened.close!()
  const more = await create(models, 'more.gguf')
  for (const { opened } of [...running.slice(1), more]) await abandon(opened)
  t.same(readdirSync(dir), ['m0.gguf'])
})

t.test('the uploads of a killed process are removed at the next start, and those of a live one are not', async t => {
  const host = hostname().replace(/[^A-Za-z0-9-]/g, '')
  const { pid: dead } = spawnSync('true')
  const dir = t.testdir({
    [`.upload-${host}.${dead}.00`]: 'x',
    [`.upload-${host}.${process.pid}.00`]: 'x',
    '.upload-other.1.00': 'x',
    '.upload-other.1.01': 'x',
  })
  utimesSync(join(dir, '.upload-other.1.01'), 0, 0)
  await new ModelStore(dir, { owner }).list()
  t.same(readdirSync(dir).sort(), [`.upload-${host}.${process.pid}.00`, '.upload-other.1.00'].sort())
})

t.test('a digest is the sha256 of the bytes, computed once until they change', async t => {
  const { dir, models } = store(t)
  const path = join(dir, 'a.gguf')
  copyFileSync(bundled, path)
  const real = `sha256:${createHash('sha256').update(readFileSync(bundled)).digest('hex')}`
  const [one, two] = await Promise.all([models.digest(path), models.digest(path)])
  t.equal(one, real)
  t.equal(two, real)
  linkSync(path, join(dir, 'b.gguf'))
  // proc(5): bytes that this process has read
  const read = () =>
    Number(/^rchar: (\d+)/.exec(existsSync('/proc/self/io') ? readFileSync('/proc/self/io', 'utf8') : '')?.[1])
  const before = read()
  t.equal(await models.digest(join(dir, 'b.gguf')), real)
  if (Number.isNaN(before)) t.pass('cannot be tried here', { skip: 'no /proc/self/io here to count reads in' })
  else t.ok(read() - before < statSync(path).size / 2, 'the same file under another name is not read again')
  appendFileSync(path, 'x')
  t.not(await models.digest(path), real)
  await t.rejects(models.digest(join(dir, 'none')), { code: 'ENOENT' })
})

t.test('many readers of one model cost one descriptor', async t => {
  const { dir, models } = store(t)
  copyFileSync(bundled, join(dir, 'a.gguf'))
  const file = (await walk(models, 'a.gguf'))!
  if (!existsSync('/proc/self/fd'))
    return void t.pass('cannot be tried here', { skip: 'no /proc/self/fd here to count descriptors in' })
  const target = (fd: string) => existsSync(`/proc/self/fd/${fd}`) && readlinkSync(`/proc/self/fd/${fd}`)
  const count = () => readdirSync('/proc/self/fd').filter(fd => target(fd) === join(dir, 'a.gguf')).length
  const readers = await Promise.all(Array.from({ length: 500 }, () => file.open(OREAD, ada)))
  t.equal(count(), 1)
  t.equal(Buffer.from(await readers[499]!.read!(0, 4, ada)).toString(), 'GGUF')
  for (const reader of readers) await reader.close!()
  t.equal(count(), 0)
})

t.test('a model whose status cannot be read leaves no open descriptor', async t => {
  const { dir, models } = store(t)
  const path = join(dir, 'a.gguf')
  copyFileSync(bundled, path)
  const file = (await walk(models, 'a.gguf'))!
  const probe = await open(path)
  const handle = Object.getPrototypeOf(probe) as { stat(): Promise<unknown> }
  await probe.close()
  const { stat } = handle
  const handles: FileHandle[] = []
  handle.stat = function (this: FileHandle) {
    handles.push(this)
    return Promise.reject(new Error('disk'))
  }
  await t.rejects(Promise.resolve(file.open(OREAD, ada)), { message: 'disk' })
  handle.stat = stat
  t.same(
    handles.map(({ fd }) => fd),
    [-1],
    'closed',
  )
})

t.test('a full disk fails the write and leaves nothing behind', async t => {
  const dir = t.testdir()
  const mount = 'mount -t tmpfs -o size=1m tmpfs "$0" && exec "$@"'
  const may = spawnSync('unshare', ['-rm', 'sh', '-c', mount, dir, 'true'], { encoding: 'utf8' })
  if (may.status !== 0)
    return void t.pass('cannot be tried here', {
      skip: `cannot mount a small file system here: ${may.stderr || may.error}`,
    })
  const script = fileURLToPath(new URL('fillDisk.js', import.meta.url))
  const ran = spawnSync('unshare', ['-rm', 'sh', '-c', mount, dir, process.execPath, script, dir], { encoding: 'utf8' })
  t.same(JSON.parse(ran.stdout || `"${ran.stderr}"`), {
    said: ['no space left on device: big.gguf'],
    times: 11,
    left: [],
    freed: true,
  })
})

t.test('of two simultaneous replacements of a model, one is refused', async t => {
  const { dir, models } = store(t)
  copyFileSync(bundled, join(dir, 'llambo-tiny.gguf'))
  const file = (await walk(models, 'llambo-tiny.gguf'))!
  const begun = await Promise.allSettled([file.open(OWRITE, ada), file.open(OWRITE, bob)])
  const [won, lost] = begun as [PromiseFulfilledResult<Opened>, PromiseRejectedResult]
  t.equal(won.status, 'fulfilled')
  t.match(lost.reason, { message: 'file in use: llambo-tiny.gguf is being replaced' })
  await won.value.close!()
  await abandon(await file.open(OWRITE, bob))
})
