/** Tests that docs/dish.md describes what happens. */

import { readFileSync } from 'node:fs'
import t from 'tap'
import { builtins } from '../../dish/builtin/table.js'
import { parse } from '../../dish/parser.js'
import { checkout, Home } from '../ctl/fixture.js'
import { Shell } from './fixture.js'

const page = readFileSync(`${checkout}/docs/dish.md`, 'utf8')
const PROMPT = 'llambo> '

interface Turn {
  readonly typed: string
  readonly shown: string[]
}

/** The turns of a section: each line that is typed, and the lines that it shows. */
function turns(section: string): Turn[] {
  const out: Turn[] = []
  for (const line of section
    .split('\n')
    .filter(line => line.startsWith('    '))
    .map(line => line.slice(4)))
    if (line.startsWith(PROMPT)) out.push({ typed: line.slice(PROMPT.length), shown: [] })
    else out.at(-1)?.shown.push(line)
  return out
}

/** The lines as a pattern: `…` in a line matches anything in it, and `…` by itself any number of lines. */
function masked(lines: readonly string[]): RegExp {
  const source = lines.map(line =>
    line === '…'
      ? '(?:.*\n)*?'
      : `${line
          .split('…')
          .map(text => text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&'))
          .join('.*?')}\n`,
  )
  return new RegExp(`^${source.join('')}$`)
}

t.test('the transcript in docs/dish.md is what happens', async t => {
  const home = new Home(t, { LLAMBO_ENGINE_RATE: '500' })
  const server = await home.up('--workers', '2')
  const dish = await Shell.at(t, `unix!${home.path('run', 'llambo', '9p')}`, home.env)
  await dish.run("while(not grep -q 'name=worker-0002 .* state=idle' status) sleep 0.05")
  const all = turns(page.slice(page.indexOf('\n## A transcript\n')))
  t.ok(all.length > 40, `${all.length} lines typed`)
  for (const { typed, shown } of all) {
    const said = await dish.run(typed)
    // a person sees both streams; their order is not guaranteed
    const [out, err] = [said.out, said.err]
    const seen = [out + err, err + out].find(text => masked(shown).test(text)) ?? out + err
    t.match(seen, masked(shown), typed)
  }
  t.equal((await server.ended).code, 0, 'the server has ended')
})

t.test('every command that docs/dish.md shows is valid, and it names every command and option', async t => {
  for (const { typed } of turns(page)) t.ok(parse(typed), typed)
  for (const { name, options = [] } of builtins) {
    t.match(page, new RegExp(`\`([^\`]*[ \`(])?${name.replace('.', '\\.')}[ \`,]`), name)
    if (/^(head|tail|wc|grep|sort|bind|mount)$/.test(name)) continue
    for (const [flag] of options)
      t.match(page, new RegExp(`\`${name}[^\`]*\\[${flag.split(' ')[0]}\\b`), `${name} ${flag}`)
  }
})
