/** Makes the changes that CONTRIBUTING shows as worked examples in a copy of the sources, compiles them and tries them. */
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import t from 'tap'
import ts from 'typescript'

const checkout = fileURLToPath(new URL('../..', import.meta.url))

/** The file that a block changes, and how: the lines that it has before, and those that it has then. */
interface Change {
  readonly file: string
  readonly before: string
  readonly after: string
  readonly added: number
}

const changes = [
  ...readFileSync(join(checkout, 'CONTRIBUTING.md'), 'utf8').matchAll(/^```diff\n--- (\S+)\n([\s\S]*?)^```$/gm),
].map(([, file = '', block = '']): Change => {
  const lines = block.split('\n').slice(0, -1)
  const text = (of: string[]) => of.map(line => `${line.slice(1)}\n`).join('')
  const added = lines.filter(line => line.startsWith('+'))
  return { file, before: text(lines.filter(line => !added.includes(line))), after: text(lines), added: added.length }
})

/** The sources of the files that change, after the changes. */
const changed = new Map<string, string>()
for (const { file, before, after } of changes) {
  const text = changed.get(file) ?? readFileSync(join(checkout, file), 'utf8')
  t.equal(text.split(before).length - 1, 1, `${file} has the lines that the example begins with once`)
  changed.set(
    file,
    text.replace(before, () => after),
  )
}

const lines = (file: string) =>
  changes.filter(change => change.file === file).reduce((sum, { added }) => sum + added, 0)

t.test('each worked example is one place and under fifteen lines', async t => {
  t.equal(changed.size, 2)
  for (const file of changed.keys()) t.ok(lines(file) < 15, `${file}: ${lines(file)} lines`)
})

t.test('the worked examples compile', async t => {
  const config = ts.parseJsonConfigFileContent(
    ts.readConfigFile(join(checkout, 'tsconfig.json'), ts.sys.readFile).config,
    ts.sys,
    checkout,
  )
  const { incremental, tsBuildInfoFile, ...options } = config.options
  const host = ts.createCompilerHost(options)
  const { readFile } = host
  const own = (path: string) => [...changed].find(([file]) => join(checkout, file) === path)?.[1]
  host.readFile = path => own(path) ?? readFile(path)
  const { getSourceFile } = host
  host.getSourceFile = (path, version, ...rest) => {
    const text = own(path)
    return text === undefined ? getSourceFile(path, version, ...rest) : ts.createSourceFile(path, text, version)
  }
  const program = ts.createProgram(
    [...changed.keys()].map(file => join(checkout, file)),
    options,
    host,
  )
  for (const file of changed.keys()) {
    const source = program.getSourceFile(join(checkout, file))!
    const found = [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)]
    t.same(
      found.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, ' ')),
      [],
      file,
    )
  }
})

t.test('the worked examples do what they say', async t => {
  const folder = mkdtempSync(join(tmpdir(), 'llambo-example-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  for (const part of ['fs', 'api', 'cluster'])
    cpSync(join(checkout, 'dist', part), join(folder, part), { recursive: true })
  symlinkSync(join(checkout, 'node_modules'), join(folder, 'node_modules'))
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}')
  const compilerOptions = { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022, verbatimModuleSyntax: true }
  for (const [file, text] of changed)
    writeFileSync(join(folder, file.replace(/ts$/, 'js')), ts.transpileModule(text, { compilerOptions }).outputText)
  const load = (file: string) => import(pathToFileURL(join(folder, file)).href)

  const { createOrchestrator } = await load('cluster/orchestrator/orchestrator.js')
  const owner = { name: 'root', uid: 0 }
  const cluster = createOrchestrator({ name: 'x', version: '0.0.0', owner, host: 'x', shutdown: () => undefined })
  t.teardown(() => cluster.close())
  const ctx = { user: { ...owner, role: 'admin' }, signal: new AbortController().signal }
  const file = await (await cluster.root.walk('uptime', ctx)).open(0, ctx)
  t.match(Buffer.from(await file.read(0, 100, ctx)).toString(), /^\d+\n$/)

  const { Routing } = await load('cluster/orchestrator/dispatch/routing.js')
  const { Affinity } = await load('cluster/orchestrator/dispatch/affinity.js')
  const routing = new Routing(Math.random, new Affinity(), () => true)
  routing.strategy = 'sticky-user'
  const report = { slots: 100, models: [{ name: 'm', type: 'text', loaded: true }], prefer: 0, mem_free: 0 }
  for (const id of ['a', 'b', 'c'])
    routing.update({ id, name: id, serving: true, model: report.models[0], load: 0, active: 0, running: 0, report })
  const workerOf = (name: string) =>
    routing.choose({ request: { generate: {} }, session: undefined, user: { name } }).member.name
  const users = Array.from({ length: 30 }, (_, i) => `user-${i}`)
  const first = users.map(workerOf)
  t.same(users.map(workerOf), first, 'each user keeps their worker')
  t.equal(new Set(first).size, 3, 'and all workers have users')
})
