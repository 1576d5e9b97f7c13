/** Glob patterns: how they match, and which files they match. */

import { ShellError } from './failure.js'
import type { State } from './state.js'
import { isDirectory, list } from './tree.js'

/** Literal text, or one of `*`, `?`, `[…]`. */
export interface Piece {
  readonly text: string
  readonly glob: boolean
}

/** How many names one pattern may match. */
const MOST = 100_000

/** A pattern as a regular expression that matches a whole text. */
export function pattern(pieces: readonly Piece[]): RegExp {
  const source = pieces.map(({ text, glob }) => {
    if (!glob) return text.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&')
    if (text === '*') return '.*?'
    if (text === '?') return '.'
    const not = /^\[[~!]/.test(text)
    const inner = text.slice(not ? 2 : 1, -1).replace(/[\\\]^[]/g, '\\$&')
    return range(`[${not ? '^' : ''}${inner}]`)
  })
  // adjacent stars match the same as one, which takes much less time
  return new RegExp(`^${source.join('').replace(/(?:\.\*\?){2,}/g, '.*?')}$`, 'su')
}

/** An invalid range (`[z-a]`) matches nothing. */
function range(source: string): string {
  try {
    new RegExp(source, 'u')
    return source
  } catch {
    return '[^\\s\\S]'
  }
}

/**
 * The files that a pattern matches, in order, or the pattern itself if there are none. A directory that cannot be read
 * counts as empty.
 */
export async function globbed(pieces: readonly Piece[], state: State, signal: AbortSignal): Promise<string[]> {
  const segments = split(pieces)
  const absolute = segments.length > 1 && segments[0]!.length === 0
  let found = [absolute ? '/' : '']
  for (const segment of segments) {
    if (segment.length === 0) continue
    const last = segment === segments.at(-1)
    if (!segment.some(({ glob }) => glob)) {
      const name = segment.map(({ text }) => text).join('')
      found = found.map(dir => dir + name + (last ? '' : '/'))
      // a literal name after a glob must exist
      if (last && segments.some(s => s !== segment && s.some(({ glob }) => glob)))
        found = await existing(found, state, signal)
      continue
    }
    const test = pattern(segment)
    const next: string[] = []
    for (const dirs of batches(found)) {
      const lists = await Promise.all(dirs.map(dir => entries(dir, state, signal)))
      for (const [i, entries] of lists.entries())
        for (const entry of entries)
          if (test.test(entry.name) && (last || isDirectory(entry)))
            next.push(`${dirs[i]}${entry.name}${last ? '' : '/'}`)
      if (next.length > MOST) throw new ShellError(`pattern matches more than ${MOST} names; use a narrower one`)
    }
    found = next
  }
  return found.length > 0 ? found : [pieces.map(({ text }) => text).join('')]
}

/** How many directories are read at once. */
const AT_ONCE = 32

function* batches<T>(all: readonly T[]): Generator<readonly T[]> {
  for (let i = 0; i < all.length; i += AT_ONCE) yield all.slice(i, i + AT_ONCE)
}

async function entries(dir: string, state: State, signal: AbortSignal) {
  try {
    return await list(state, state.path(dir === '' ? '.' : dir), signal)
  } catch {
    if (signal.aborted) throw signal.reason
    return []
  }
}

async function existing(paths: readonly string[], state: State, signal: AbortSignal): Promise<string[]> {
  const out: string[] = []
  for (const some of batches(paths)) {
    const parents = await Promise.all(
      some.map(path => entries(path.slice(0, path.lastIndexOf('/') + 1), state, signal)),
    )
    for (const [i, path] of some.entries()) {
      const name = path.slice(path.lastIndexOf('/') + 1)
      if (parents[i]!.some(entry => entry.name === name)) out.push(path)
    }
  }
  return out
}

/** Splits a pattern at its slashes. */
function split(pieces: readonly Piece[]): Piece[][] {
  const out: Piece[][] = [[]]
  for (const piece of pieces) {
    if (piece.glob) out.at(-1)!.push(piece)
    else
      for (const [i, text] of piece.text.split('/').entries()) {
        if (i > 0) out.push([])
        if (text !== '') out.at(-1)!.push({ text, glob: false })
      }
  }
  return out
}
