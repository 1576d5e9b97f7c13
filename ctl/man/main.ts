/** Writes the manual pages to dist/man, from the tables of commands and docs/; `npm run build` runs it. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { version } from '../../cli/version.js'
import { programs } from '../command/table.js'
import { manual, pages } from './pages.js'

const docs = new URL('../../../docs/', import.meta.url)
const out = new URL('../../man/', import.meta.url)
const read = (name: string) => (existsSync(new URL(name, docs)) ? readFileSync(new URL(name, docs), 'utf8') : '')

mkdirSync(out, { recursive: true })
const all = pages(programs)
for (const page of all) writeFileSync(new URL(`${page.name}.${page.section}`, out), manual(page, read, all, version()))
