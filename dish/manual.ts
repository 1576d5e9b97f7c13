/** Finds what the documentation says about a file, for `man`. */

import { fileURLToPath } from 'node:url'
import { namesOf } from '../fs/base/path.js'
import { ShellError } from './failure.js'

/** The reference documents in the package, by what they describe. */
const pages = { llambo: '../../docs/files.md', dish: '../../docs/dish.md' }

/** The text under a heading of the second level; undefined if there is no such heading. */
function under(page: string, heading: string): string | undefined {
  const lines = page.split('\n')
  const from = lines.indexOf(`## ${heading}`)
  if (from === -1) return undefined
  const length = lines.slice(from + 1).findIndex(line => line.startsWith('## '))
  return `${lines
    .slice(from + 1, length === -1 ? undefined : from + 1 + length)
    .join('\n')
    .trim()}\n`
}

/** The row of a section's table that begins with a name: its cells on one line, the last one below. */
function row(section: string, name: string): string | undefined {
  const line = section.split('\n').find(line => line.startsWith('|') && line.split('|')[1]!.includes(`\`${name}\``))
  const cells = line
    ?.split(/(?<!\\)\|/)
    .slice(1, -1)
    .map(cell => cell.trim().replaceAll('\\|', '|'))
  return cells && `${cells.slice(0, -1).join(', ')}\n\n${cells.at(-1)}\n`
}

/**
 * What the reference says about a file.
 * @param read returns the text of a page
 * @throws ShellError if the reference says nothing about it
 */
export async function section(path: string, read: (file: string) => Promise<string>): Promise<string> {
  const names = namesOf(path)
  const page = (which: keyof typeof pages) => read(fileURLToPath(new URL(pages[which], import.meta.url)))
  if (names[0] === 'n' && names[1] === 'dish') {
    const text = under(await page('dish'), 'Its own files') ?? ''
    const found = names[2] === undefined ? text : row(text, names[2])
    if (found) return found
  } else {
    // a worker, a host or a mounted server has the same files as a root
    const worker = names.findLastIndex(name => /^worker-\d{4,}$/.test(name))
    const rest = names.slice(worker === -1 ? (names[0] === 'n' ? 2 : 1) : worker + 1)
    const text = await page('llambo')
    const found = rest.length === 0 ? text.slice(0, text.indexOf('\n## ')).trim() : of(text, rest)
    if (found) return found.endsWith('\n') ? found : `${found}\n`
  }
  throw new ShellError(`man: ${path}: not in the reference`)
}

/** The text for a path such as `session/7/history`, `session/7` or `status`. */
function of(page: string, [first = '', ...rest]: readonly string[]): string | undefined {
  const file = rest.at(-1)
  const section = under(page, first) ?? under(page, `${first}/`)
  if (section === undefined || file === undefined) return section
  return row(section, file) ?? row(section, [first, ...rest].join('/')) ?? under(page, file) ?? section
}
