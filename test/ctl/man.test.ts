/** Tests the manual pages. */
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Command as Commander } from 'commander'
import t from 'tap'
import { program } from '../../cli/program.js'
import { programs } from '../../ctl/command/table.js'
import { manual, pages } from '../../ctl/man/pages.js'
import { roff } from '../../ctl/man/roff.js'
import { checkout, Home } from './fixture.js'

const all = pages(programs)
const read = (name: string) => {
  const path = join(checkout, 'docs', name)
  return existsSync(path) ? readFileSync(path, 'utf8') : ''
}
const text = (name: string, section: number) =>
  manual(all.find(page => page.name === name && page.section === section)!, read, all, '0.1.0')
/** The text of a page as a reader sees it, without escapes. */
const seen = (page: string) =>
  page
    .replace(/\\f[BIRP]/g, '')
    .replace(/\\-/g, '-')
    .replace(/\\\(aq/g, "'")
    .replace(/\\&/g, '')

function* every(command: Commander, path: string): Generator<[string, Commander]> {
  yield [path, command]
  for (const child of command.commands) yield* every(child, `${path} ${child.name()}`)
}

t.test('the pages of programs name every command and option', async t => {
  for (const root of programs) {
    const page = seen(text(root.name, 1))
    for (const [path, command] of every(
      program(root, async () => {}),
      root.name,
    )) {
      if (command.commands.length === 0) t.ok(page.includes(`\n${path}`), path)
      for (const { flags } of command.options) t.ok(page.includes(`.TP\n${flags}\n`), `${path} ${flags}`)
    }
  }
})

t.test('llambo(4) names every file that a cluster serves', async t => {
  const home = new Home(t)
  await home.up()
  await home.ctl('rdwr', 'data', 'hi')
  const number = (await home.ctl('cat', 'session/clone')).stdout.trim()
  const page = seen(text('llambo', 4))
  const list = async (path: string) => (await home.ctl('ls', path)).stdout.trim().split('\n')
  const [host] = await list('host')
  for (const dir of ['', 'models', `session/${number}`, 'task/1', `host/${host}`, 'worker-0001']) {
    const names = await list(dir)
    t.ok(names.length > 0 && names[0] !== '', `${dir || 'the root'} has files`)
    for (const name of names) {
      const known = /^worker-\d+$/.test(name) ? 'worker-0001/' : name.endsWith('.gguf') ? '*.gguf' : name
      t.match(page, new RegExp(`(?:^|[^\\w])${known.replace(/[*.]/g, String.raw`\$&`)}(?!\\w)`), `${dir}/${name}`)
    }
  }
})

t.test('man shows each page without a warning', async t => {
  if (spawnSync('man', ['--version']).error) return t.comment('man is missing: not tried')
  const home = new Home(t)
  for (const page of all) {
    const title = `${page.name}(${page.section})`
    const file = home.file(`man/man${page.section}/${page.name}.${page.section}`, text(page.name, page.section))
    const env = { ...home.env, LC_ALL: 'C.UTF-8', MANPATH: home.path('man'), MANWIDTH: '80' }
    const found = spawnSync('man', ['-P', 'cat', String(page.section), page.name], { encoding: 'utf8', env })
    t.match(found.stdout, new RegExp(`^${page.name.toUpperCase()}\\(${page.section}\\)`), title)
    t.match(found.stdout, `${page.summary.split(' ')[0]}`)
    const warned = spawnSync('man', ['--warnings', '-E', 'UTF-8', '-Tutf8', '-Z', '-l', file], {
      encoding: 'utf8',
      env,
    })
    t.equal(warned.stderr, '', title)
  }
})

t.test('package.json lists the pages that the build writes', async t => {
  const { man, scripts } = JSON.parse(read('../package.json'))
  for (const { name, section } of all) t.ok(man.includes(`./dist/man/${name}.${section}`), `${name}(${section})`)
  for (const script of [scripts.build, scripts.prepack]) t.match(script, /node dist\/ctl\/man\/main\.js$/)
})

t.test('text that looks like roff is escaped', async t => {
  const none = () => ''
  t.equal(roff('.so /etc/passwd', {}, none), '.PP\n\\&.so /etc/passwd\n')
  t.equal(roff("    'x\n    .sh y\\fB", {}, none), '.PP\n.RS 4\n.nf\n\\(aqx\n\\&.sh y\\efB\n.fi\n.RE\n')
  t.equal(
    roff('| a | b |\n|---|---|\n| `x -y` | see [it](files.md#z) |', { 'files.md': 'llambo(4)' }, none),
    '.TP\n\\fBx \\-y\\fP\nsee it (\\fBllambo(4)\\fP)\n',
  )
})
