/** Tests which folder may import which. */

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'

const root = fileURLToPath(new URL('../../', import.meta.url))
const folders = ['fs', 'api', 'mnt', 'cluster', 'cli', 'top', 'limbot', 'dish', 'ctl'].filter(folder =>
  existsSync(join(root, folder)),
)
const files = folders
  .flatMap(folder =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).map(file => `${folder}/${file}`),
  )
  .filter(file => file.endsWith('.ts'))

const statement =
  /^(?:import|export)\s+(?<type>type\s)?(?:[^'"`;]*?\sfrom\s+)?'(?<from>[^']+)'|\bimport\('(?<late>[^']+)'\)/gm

/**
 * What a file imports: files as paths from the root, packages by name. An import of only types leaves no trace at run
 * time.
 */
function importsOf(file: string): { to: string; types: boolean }[] {
  return [...readFileSync(join(root, file), 'utf8').matchAll(statement)].map(({ groups = {} }) => {
    const to = (groups.from ?? groups.late)!
    const path = normalize(join(dirname(file), to)).replace(/\.js$/, '.ts')
    return {
      to: to.startsWith('.') ? path : to.replace(/^((?:@[^/]+\/)?[^/]+).*/, '$1'),
      types: groups.type !== undefined,
    }
  })
}

/** A file and everything that it loads at run time. */
function closure(file: string, seen = new Set<string>()): Set<string> {
  if (seen.has(file)) return seen
  seen.add(file)
  if (files.includes(file)) for (const { to, types } of importsOf(file)) if (!types) closure(to, seen)
  return seen
}

const isFile = (to: string) => to.includes('/') && !to.startsWith('@')
const isNode = (to: string) => to.startsWith('node:')

/** The folders that a folder may import, besides itself. */
const may: Readonly<Record<string, readonly string[]>> = {
  fs: [],
  api: ['fs'],
  mnt: ['fs'],
  cluster: ['fs', 'api'],
  cli: ['fs', 'api'],
  top: ['fs', 'api', 'cli'],
  limbot: ['fs', 'api', 'cli'],
  dish: ['fs', 'api', 'cli', 'top'],
  ctl: ['fs', 'api', 'mnt', 'cluster', 'cli', 'top', 'limbot', 'dish'],
}

/** Packages that only some files may import. */
const packages: Readonly<Record<string, RegExp>> = {
  ws: /^fs\/transport\/websocket\.ts$|^dish\//,
  koffi: /^mnt\//,
  'fuse-native': /^mnt\//,
  'node-llama-cpp': /^cluster\/worker\/engine\/|^ctl\/.*(pull|doctor)/,
}

t.test('all sources are read, and their imports are understood', async t => {
  t.ok(files.length > 30, `${files.length} files`)
  for (const file of files) {
    for (const { to } of importsOf(file))
      if (isFile(to)) t.ok(files.includes(to), `${file} imports ${to}, which exists`)
  }
  t.ok(importsOf('fs/wire/message.ts').some(({ to }) => to === 'fs/base/errors.ts'))
})

t.test('folders import only the folders that they may', async t => {
  for (const file of files) {
    const [own = ''] = file.split('/')
    for (const { to } of importsOf(file)) {
      if (!isFile(to)) continue
      t.ok(
        [own, ...may[own]!].some(folder => to.startsWith(`${folder}/`)),
        `${file} imports ${to}`,
      )
    }
  }
})

t.test('in fs/, neither the server nor the client loads the other or a transport', async t => {
  const server = closure('fs/server/server.ts')
  const client = closure('fs/client/client.ts')
  t.notOk(server.has('fs/client/client.ts'))
  t.notOk(client.has('fs/server/server.ts'))
  for (const to of [...server, ...client]) t.notMatch(to, /^fs\/transport\//)
})

t.test('files for a browser load nothing of Node', async t => {
  for (const file of [
    'fs/client/client.ts',
    'fs/wire/message.ts',
    'fs/wire/text.ts',
    'fs/wire/framer.ts',
    'fs/transport/browser.ts',
    ...files.filter(file => file.startsWith('api/')),
  ]) {
    const all = [...closure(file)]
    t.ok(files.includes(file), `${file} exists`)
    t.same(
      all.filter(to => !files.includes(to)),
      [],
      `${file} loads only files of ours`,
    )
    for (const one of all)
      t.notMatch(readFileSync(join(root, one), 'utf8'), /\bBuffer\b(?!Like|Source)/, `${one} needs no Buffer`)
  }
})

t.test('api/ reads texts and values: it imports nothing of Node and no package', async t => {
  const own = files.filter(file => file.startsWith('api/'))
  t.ok(own.includes('api/field.ts'))
  for (const file of own)
    for (const { to } of importsOf(file)) t.ok(isFile(to), `${file} imports ${to}, which is a file of ours`)
})

t.test('only api/ parses records: every other reader uses a typed one of api/', async t => {
  const own = files.filter(file => /\bparseRecords\b/.test(readFileSync(join(root, file), 'utf8')))
  t.same(own, ['fs/base/quote.ts', 'api/text.ts'])
})

t.test('packages are imported only where they belong, and fs/ imports only ws', async t => {
  for (const file of files) {
    for (const { to } of importsOf(file)) {
      if (isFile(to) || isNode(to)) continue
      if (packages[to]) t.match(file, packages[to], `${file} imports ${to}`)
      if (file.startsWith('fs/')) t.equal(to, 'ws', `${file} imports ${to}`)
    }
  }
})

t.test('an orchestrator loads no engine: native code stays in the processes that may die', async t => {
  const all = [...closure('cluster/orchestrator/orchestrator.ts')]
  t.ok(files.includes('cluster/orchestrator/orchestrator.ts'))
  t.same(
    all.filter(to => to.startsWith('cluster/worker/') || to === 'node-llama-cpp'),
    [],
  )
})

/** The groups of files that import each other, directly or through others: strongly connected components (Tarjan 1972). */
function circles(): string[][] {
  const index = new Map<string, number>()
  const lowest = new Map<string, number>()
  const stack: string[] = []
  const out: string[][] = []
  const visit = (file: string): void => {
    index.set(file, index.size)
    lowest.set(file, index.get(file)!)
    stack.push(file)
    for (const { to } of importsOf(file)) {
      if (!files.includes(to)) continue
      if (!index.has(to)) visit(to)
      if (stack.includes(to)) lowest.set(file, Math.min(lowest.get(file)!, lowest.get(to)!))
    }
    if (lowest.get(file) !== index.get(file)) return
    const group = stack.splice(stack.indexOf(file))
    if (group.length > 1) out.push(group)
  }
  for (const file of files) if (!index.has(file)) visit(file)
  return out
}

t.test('no files import each other in a circle, not even for types', async t => {
  t.same(circles(), [])
})
