/** The tree that both sides of a comparison serve: the same names, sizes and bytes. */

import { type File, newQid } from '../fs/file.js'
import { bytes, slice } from '../fs/kit/content.js'
import { dir } from '../fs/kit/dir.js'

/** The sizes of the small and the large file, in bytes. */
export const SMALL = 100
export const LARGE = 64 * 1024 * 1024
/** The sizes of the directories with which growth is measured. */
export const SIZES = [10, 1000, 100_000] as const

export const directoryName = (size: number): string => `d${size}`
export const entryName = (i: number): string => `entry${i}`

export const owner = { name: 'bench', uid: process.getuid!() }

/** A file of fixed length that is written in place. */
function writable(length: number): File {
  const content = new Uint8Array(length)
  return {
    qid: newQid(),
    attributes: () => ({ mode: 0o666, owner, length, mtime: 0, atime: 0 }),
    open: () => ({
      read: (offset, count) => slice(content, offset, count),
      write(offset, data) {
        content.set(data, offset)
        return data.length
      },
    }),
  }
}

function directory(size: number): File {
  const entries = new Map<string, File>()
  for (let i = 0; i < size; i++) entries.set(entryName(i), bytes('', { owner }))
  return dir(entries, owner)
}

const large = (): [string, File][] => [
  ['large', bytes(new Uint8Array(LARGE), { owner })],
  ['sink', writable(LARGE)],
]
const directories = () => SIZES.map((size): [string, File] => [directoryName(size), directory(size)])

/** The tree: the small file and the named parts. */
export const tree = (parts: readonly string[]): File =>
  dir(
    new Map<string, File>([
      ['small', bytes('x'.repeat(SMALL), { owner })],
      ...(parts.includes('large') ? large() : []),
      ...(parts.includes('directories') ? directories() : []),
    ]),
    owner,
  )
