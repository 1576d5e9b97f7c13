/** Attached files: reads them, finds those that a message names with `@`, and puts their text after the message. */
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { home } from '../cli/account.js'
import { usage } from '../cli/exit.js'
import { bytes } from '../cli/output.js'

/** A file whose text is sent with a message. */
export interface Attachment {
  readonly name: string
  readonly content: string
}

/** Bytes of one file: a larger one is hardly intended, and no model reads that much. */
const MOST = 1024 * 1024

const decoder = new TextDecoder('utf-8', { fatal: true })
/** `@path`, or `@"path with spaces"`, at the beginning of a word. */
const mention = /(?<=^|\s)@(?:"([^"\n]+)"|([^\s"]+))/g

const expanded = (path: string): string =>
  path.startsWith('~/') ? join(home(process.env) ?? '/', path.slice(2)) : path

/**
 * Reads a file for a message.
 * @throws Failure (usage) that names the file, if it is missing, a directory, a pipe or device, too large, or not text
 */
export function attach(path: string, cwd = process.cwd()): Attachment {
  const file = resolve(cwd, expanded(path))
  try {
    const stat = statSync(file)
    if (stat.isDirectory()) throw usage(`${path}: is a directory; attach the files in it`)
    // reading a pipe may wait forever and a device may never end, and this read cannot be interrupted
    if (!stat.isFile()) throw usage(`${path}: not a regular file; pipe the output of a program into limbot instead`)
    if (stat.size > MOST)
      throw usage(`${path}: too large (${bytes(stat.size)}); at most ${bytes(MOST)} can be attached`)
    return checked(path, readFileSync(file))
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR') throw usage(`${path}: file does not exist`)
    if (code === 'EACCES') throw usage(`${path}: permission denied`)
    throw error
  }
}

/** Makes an attachment of bytes that are not from a file. @throws Failure (usage) if they are too many, or not text */
export function checked(name: string, data: Uint8Array): Attachment {
  if (data.length > MOST) throw usage(`${name}: too large; at most ${bytes(MOST)} can be attached`)
  try {
    const content = decoder.decode(data)
    if (!content.includes('\0')) return { name, content }
  } catch {}
  throw usage(`${name}: not text; only text can be attached`)
}

/** Reads the files that a message names with `@`. @throws Failure (usage) for a file that cannot be attached */
export function mentioned(text: string): Attachment[] {
  const paths = [...text.matchAll(mention)].map(([, quoted, plain]) => quoted ?? plain!.replace(/[.,;:!?)]+$/, ''))
  return [...new Set(paths)].map(path => {
    try {
      return attach(path)
    } catch (error) {
      throw usage(`@${(error as Error).message} (for a plain @, write \\@)`)
    }
  })
}

/** The way to name a file in a message. */
export const mentioning = (path: string): string => (/[\s"]|[.,;:!?)]$/.test(path) ? `@"${path}"` : `@${path}`)

/** A message followed by its files, each in a code fence that is longer than any fence in the file. */
export function composed(text: string, files: readonly Attachment[]): string {
  const parts = files.map(({ name, content }) => {
    const longest = Math.max(2, ...[...content.matchAll(/`{3,}/g)].map(([ticks]) => ticks.length))
    const fence = '`'.repeat(longest + 1)
    return `${name}:\n${fence}\n${content.replace(/\n?$/, '\n')}${fence}`
  })
  return [text.replaceAll(/(?<=^|\s)\\@/g, '@'), ...parts].filter(Boolean).join('\n\n')
}

/** The paths that begin with a text, to complete it after `@`. */
export function paths(begun: string): { text: string; help?: string }[] {
  const dir = begun.endsWith('/') ? begun : `${dirname(begun)}/`
  const prefix = begun.endsWith('/') ? '' : basename(begun)
  const shown = begun.includes('/') ? dir : ''
  try {
    return readdirSync(resolve(expanded(begun === '' ? '.' : dir)), { withFileTypes: true })
      .filter(({ name }) => name.startsWith(prefix) && (prefix !== '' || !name.startsWith('.')))
      .map(entry => ({ text: `${shown}${entry.name}${entry.isDirectory() ? '/' : ' '}` }))
      .sort((a, b) => (a.text < b.text ? -1 : 1))
  } catch {
    return []
  }
}
