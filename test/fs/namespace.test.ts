/** The mount table: mounts, binds, unions, and the output of ns. */
import t, { type Test } from 'tap'
import { fail } from '../../fs/base/errors.js'
import { Client, type Fid } from '../../fs/client/client.js'
import { type Context, type File, newQid } from '../../fs/file.js'
import { bytes } from '../../fs/kit/content.js'
import { dir, generated } from '../../fs/kit/dir.js'
import { type Flags, Namespace } from '../../fs/namespace.js'
import { serve } from '../../fs/server/server.js'
import { transportPair } from '../../fs/transport/pair.js'
import { DMDIR, OREAD, OWRITE, QTDIR } from '../../fs/wire/protocol.js'

const owner = { name: 'glenda', uid: 1000 }
const ctx: Context = { user: { ...owner, role: 'admin' }, signal: new AbortController().signal }

/** The plan of a tree: a string is the content of a file, an object a directory. */
type Plan = { readonly [name: string]: string | Plan }
const tree = (plan: Plan): File =>
  dir(
    new Map(
      Object.entries(plan).map(
        ([name, it]) => [name, typeof it === 'string' ? bytes(it, { owner }) : tree(it)] as const,
      ),
    ),
    owner,
  )

/** A directory in which files can be created. */
function open(name: string): File {
  const files = new Map<string, File>([[name, bytes(name, { owner })]])
  return generated({
    owner,
    mode: 0o777,
    walk: name => files.get(name),
    list: () => files,
    create(name) {
      const file = bytes('made', { owner })
      files.set(name, file)
      return { file, opened: {} }
    },
  })
}

const hung: File = {
  qid: newQid(QTDIR),
  attributes: () => ({ mode: 0o555, owner, length: 0, mtime: 0, atime: 0 }),
  walk: () => new Promise(() => undefined),
  open: () => new Promise(() => undefined),
}

async function served(t: Test, space: Namespace): Promise<Fid> {
  const [near, far] = transportPair()
  serve(far, { attach: () => ({ root: space.root, user: ctx.user }) })
  const client = await Client.connect(near)
  t.teardown(() => client.close())
  return client.attach({ uname: 'glenda' })
}

/** What is at a path: a directory's names, or a file's content. */
async function at(root: Fid, path: string): Promise<string> {
  const fid = await root.walk(path.split('/').filter(Boolean))
  try {
    if (!(fid.qid.type & QTDIR)) return Buffer.from(await root.readFile(path)).toString()
    await fid.open(OREAD)
    return (await fid.list())
      .map(({ name }) => name)
      .sort()
      .join(' ')
  } finally {
    await fid.clunk()
  }
}

const a = tree({ one: 'a1', two: 'a2', sub: { deep: 'a3' } })
const b = tree({ two: 'b2', three: 'b3' })
const c = tree({ two: 'c2', four: 'c4' })

async function space(...mounts: readonly (readonly [File, string, string, Flags?])[]): Promise<Namespace> {
  const made = new Namespace(owner, new Map([['#b', b]]), 100)
  for (const [file, from, old, flags = {}] of mounts) await made.mount(file, from, old, flags, ctx)
  return made
}

t.test('mounts appear at their paths, and so do the directories that lead to them', async t => {
  const root = await served(t, await space([a, 'A', '/n/a'], [b, 'B', '/n/x/b']))
  t.equal(await at(root, '/'), 'n')
  t.equal(await at(root, '/n'), 'a x')
  t.equal(await at(root, '/n/x'), 'b')
  t.equal(await at(root, '/n/a'), 'one sub two')
  t.equal(await at(root, '/n/x/b/three'), 'b3')
  await t.rejects(at(root, '/n/nope'), { message: 'file does not exist' })
  const fid = await root.walk(['n'])
  await t.rejects(fid.create('x', 0o644, OWRITE), { message: 'permission denied' })
})

t.test('a mount point in a tree must exist and be of the same kind', async t => {
  const made = await space([a, 'A', '/n/a'], [b, 'B', '/n/a/sub'])
  const root = await served(t, made)
  t.equal(await at(root, '/n/a'), 'one sub two')
  t.equal(await at(root, '/n/a/sub'), 'three two')
  await t.rejects(made.mount(c, 'C', '/n/a/nope', {}, ctx), { message: 'file does not exist: /n/a/nope' })
  await t.rejects(made.mount(c, 'C', '/n/a/one', {}, ctx), {
    message: 'not a directory: cannot mount C on /n/a/one: one is a directory, the other is not',
  })
  await t.rejects(made.mount(c, 'C', '/n/a/one/x', {}, ctx), { message: 'not a directory: /n/a/one' })
  await t.rejects(made.mount(c, 'C', '/', {}, ctx), { message: /cannot mount over the root/ })
  await made.bind('/n/a/two', '/n/a/one', {}, ctx)
  t.equal(await at(root, '/n/a/one'), 'a2')
})

t.test('in a union the first member that has a name wins, and a listing has each name once', async t => {
  const rows: readonly (readonly [Flags, Flags, string])[] = [
    [{ where: 'after' }, { where: 'after' }, 'a2'],
    [{ where: 'before' }, { where: 'after' }, 'b2'],
    [{ where: 'before' }, { where: 'before' }, 'c2'],
    [{ where: 'after' }, { where: 'before' }, 'c2'],
  ]
  for (const [first, second, two] of rows) {
    const root = await served(t, await space([a, 'A', '/n/a'], [b, 'B', '/n/a', first], [c, 'C', '/n/a', second]))
    t.equal(await at(root, '/n/a'), 'four one sub three two')
    t.equal(await at(root, '/n/a/two'), two, JSON.stringify([first, second]))
    t.equal(await at(root, '/n/a/sub/deep'), 'a3')
    t.equal(await at(root, '/n/a/four'), 'c4')
  }
  t.equal(
    await at(await served(t, await space([a, 'A', '/n/a'], [b, 'B', '/n/a'])), '/n/a'),
    'three two',
    'without a flag the mount replaces what was there',
  )
})

t.test('a bind shows what is at its source now, with the mounts below that', async t => {
  const made = await space([a, 'A', '/n/a'], [b, 'B', '/n/a/sub'])
  const root = await served(t, made)
  await made.bind('/n/a', '/m', {}, ctx)
  t.equal(await at(root, '/m'), 'one sub two')
  t.equal(await at(root, '/m/sub'), 'three two', 'the mount below the source appears there, too')
  await made.mount(c, 'C', '/n/a', {}, ctx)
  t.equal(await at(root, '/n/a'), 'four two')
  t.equal(await at(root, '/m/one'), 'a1', 'a later mount over the source does not appear')
  await made.bind('#b', '/dev', {}, ctx)
  t.equal(await at(root, '/dev/three'), 'b3')
  await t.rejects(made.bind('#z', '/dev', {}, ctx), { message: 'file does not exist: no device "#z"; devices: #b' })
  await t.rejects(made.bind('/nope', '/dev', {}, ctx), { message: 'file does not exist: /nope' })
  await made.bind('/', '/n/loop', {}, ctx)
  t.equal(await at(root, '/n/loop/n/loop/n/loop/m/one'), 'a1', 'a loop can be walked to any depth')
  await made.bind('/n/a', '/n/a', { where: 'before' }, ctx)
  t.equal(await at(root, '/n/a/four'), 'c4', 'a directory can be bound to itself')
})

t.test('files are created in the first member that was bound with -c', async t => {
  const [x, y, z] = [open('x'), open('y'), open('z')]
  const create = async (root: Fid, path: string) => {
    const fid = await root.walk(path.split('/'))
    await fid.create('new', 0o644, OWRITE)
    await fid.clunk()
  }
  const alone = await served(t, await space([x, 'X', '/n']))
  await create(alone, 'n')
  t.equal(await at(alone, '/n'), 'new x', 'a single directory needs no -c')
  const none = await served(t, await space([y, 'Y', '/n'], [z, 'Z', '/n', { where: 'after' }]))
  await t.rejects(create(none, 'n'), {
    message: 'permission denied: cannot create files in this union: none of its parts was bound with -c',
  })
  const made = await space(
    [y, 'Y', '/n'],
    [z, 'Z', '/n', { where: 'after', create: true }],
    [z, 'Z', '/z'],
    [y, 'Y', '/y'],
  )
  const root = await served(t, made)
  await create(root, 'n')
  t.equal(await at(root, '/z'), 'new z')
  t.equal(await at(root, '/y'), 'y')
})

t.test('unmount removes one mount or all of them, and what was there before reappears', async t => {
  const made = await space(
    [a, 'A', '/n/a'],
    [b, 'B', '/n/a/sub', { where: 'after' }],
    [c, 'C', '/n/a/sub', { where: 'before' }],
  )
  const root = await served(t, made)
  t.equal(await at(root, '/n/a/sub'), 'deep four three two')
  made.unmount('/n/a/sub', 'C')
  t.equal(await at(root, '/n/a/sub'), 'deep three two')
  made.unmount('/n/a/sub')
  t.equal(await at(root, '/n/a/sub'), 'deep')
  t.throws(() => made.unmount('/n/a/sub'), { message: 'bad argument: nothing is mounted at /n/a/sub' })
  t.throws(() => made.unmount('/n/a', 'Z'), { message: 'bad argument: Z is not mounted at /n/a' })
  const fid = await root.walk(['n', 'a'])
  await t.rejects(fid.remove(), { message: /^permission denied/ }, 'a mount point cannot be removed')
})

/** Runs the commands that `text` printed in a new name space. */
async function replay(text: string, trees: Readonly<Record<string, File>>): Promise<Namespace> {
  const made = new Namespace(owner, new Map([['#b', b]]))
  for (const line of text.split('\n').filter(Boolean)) {
    const [verb, ...words] = line.split(' ').map(word => word.replaceAll("'", ''))
    const letters = words[0]!.startsWith('-') ? words.shift()! : ''
    const [from, old] = words as [string, string]
    const where = letters.includes('a') ? ('after' as const) : letters.includes('b') ? ('before' as const) : undefined
    const flags = { ...(where && { where }), create: letters.includes('c') }
    if (verb === 'mount') await made.mount(trees[from]!, from, old, flags, ctx)
    else await made.bind(from, old, flags, ctx)
  }
  return made
}

t.test('the output of ns recreates the name space', async t => {
  const trees = { A: a, B: b, C: c }
  const made = await space(
    [a, 'A', '/n/a'],
    [b, 'B', '/n/a/sub', { where: 'after' }],
    [c, 'C', '/n/a/sub', { where: 'before', create: true }],
    [b, 'B', '/u'],
    [c, 'C', '/u', { where: 'before' }],
    [a, 'A', '/u', { where: 'after' }],
  )
  await made.bind('/n/a/sub', '/m', {}, ctx)
  await made.bind('#b', '/n/a/sub/deep/../', { where: 'after' }, ctx)
  made.unmount('/u', 'B')
  t.equal(
    made.text(),
    [
      'mount A /n/a',
      'mount -a B /n/a/sub',
      'mount -bc C /n/a/sub',
      'mount C /u',
      'mount -a A /u',
      'bind /n/a/sub /m',
      "bind -a '#b' /n/a/sub",
      '',
    ].join('\n'),
  )
  const again = await replay(made.text(), trees)
  t.equal(again.text(), made.text())
  const [one, two] = [await served(t, made), await served(t, again)]
  for (const path of ['/', '/n/a', '/n/a/sub', '/n/a/sub/two', '/m', '/u', '/u/two', '/u/one'])
    t.equal(await at(two, path), await at(one, path), path)
})

t.test('a name space and its copy do not affect each other', async t => {
  const made = await space([a, 'A', '/n/a'])
  const copy = made.clone()
  await copy.mount(b, 'B', '/n/a', {}, ctx)
  made.unmount('/n/a')
  t.equal(await at(await served(t, copy), '/n/a'), 'three two')
  t.equal(await at(await served(t, made), '/'), '')
})

t.test('a member of a union that fails or hangs is skipped', async t => {
  // the deadline itself does not keep the process alive
  const alive = setInterval(() => undefined, 1000)
  t.teardown(() => clearInterval(alive))
  const broken: File = {
    ...hung,
    qid: newQid(QTDIR),
    walk: () => Promise.reject(fail('io')),
    open: () => Promise.reject(fail('io')),
  }
  const root = await served(
    t,
    await space([broken, 'X', '/n'], [hung, 'H', '/n', { where: 'after' }], [a, 'A', '/n', { where: 'after' }]),
  )
  t.equal(await at(root, '/n/one'), 'a1')
  t.equal(await at(root, '/n'), 'one sub two')
  const alone = await served(t, await space([broken, 'X', '/n']))
  await t.rejects(at(alone, '/n'), { message: 'i/o error' })
  t.equal(await at(alone, '/'), 'n', 'a listing of the directory that leads to it does not ask it')
})

t.test('mode bits are not checked where the server of a mounted tree decides', async t => {
  const mine = bytes('mine', { owner: { name: 'another', uid: 7 }, mode: 0o600 })
  const root = await served(
    t,
    await space([
      dir(
        new Map([
          ['f', mine],
          ['g', { ...mine, decided: true }],
        ]),
        owner,
      ),
      'A',
      '/n',
    ]),
  )
  await t.rejects(at(root, '/n/f'), { message: 'permission denied' })
  t.equal(await at(root, '/n/g'), 'mine')
  t.equal((await (await root.walk(['n', 'g'])).stat()).mode & 0o777, 0o600, 'the mode bits are shown unchanged')
  t.ok((await (await root.walk(['n'])).stat()).mode & DMDIR)
})
