/** `node server.js ADDRESS [large] [directories]`: what is named of tree.ts in memory, served by fs/; ends with its standard input. */
import { listen } from '../fs/dial.js'
import { type File, newQid } from '../fs/file.js'
import { bytes, slice } from '../fs/kit/content.js'
import { dir } from '../fs/kit/dir.js'
import { serve } from '../fs/server.js'
import { directoryName, entryName, LARGE, SIZES, SMALL } from './tree.js'

const owner = { name: 'bench', uid: process.getuid!() }

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

const parts = process.argv.slice(3)
const large = (): [string, File][] => [
  ['large', bytes(new Uint8Array(LARGE), { owner })],
  ['sink', writable(LARGE)],
]
const directories = () => SIZES.map((size): [string, File] => [directoryName(size), directory(size)])

const root = dir(
  new Map<string, File>([
    ['small', bytes('x'.repeat(SMALL), { owner })],
    ...(parts.includes('large') ? large() : []),
    ...(parts.includes('directories') ? directories() : []),
  ]),
  owner,
)

await listen(process.argv[2]!, transport =>
  serve(transport, {
    attach: ({ uname }) => ({ root, user: { name: uname, uid: owner.uid, role: 'use' } }),
  }),
)
process.stdout.write('ready\n')
process.stdin.resume().on('end', () => process.exit(0))
