/**
 * `node native.js DIR`: fuse-native with the same two files in memory and nothing between, for comparison with our
 * mount.
 */

import { LARGE, SMALL } from './tree.js'

const name = 'fuse-native' // it has no types
const Fuse = (await import(name)).default

const files = new Map([
  ['/small', Buffer.alloc(SMALL, 'x')],
  ['/large', Buffer.alloc(LARGE)],
])
const now = new Date()
const attributes = (directory: boolean, size: number) => ({
  mode: directory ? 0o40755 : 0o100644,
  size,
  nlink: directory ? 2 : 1,
  uid: process.getuid!(),
  gid: process.getgid!(),
  atime: now,
  mtime: now,
  ctime: now,
})
type Done = (code: number, value?: unknown) => void

const fuse = new Fuse(
  process.argv[2],
  {
    getattr(path: string, done: Done) {
      if (path === '/') return done(0, attributes(true, 0))
      const content = files.get(path)
      return content ? done(0, attributes(false, content.length)) : done(Fuse.ENOENT)
    },
    readdir: (_path: string, done: Done) =>
      done(
        0,
        [...files.keys()].map(path => path.slice(1)),
      ),
    open: (path: string, _flags: number, done: Done) => done(files.has(path) ? 0 : Fuse.ENOENT, 1),
    read: (path: string, _fd: number, into: Buffer, length: number, offset: number, done: Done) =>
      done(files.get(path)!.copy(into, 0, offset, offset + length)),
    release: (_path: string, _fd: number, done: Done) => done(0),
  },
  // reads go through, as in our driver; otherwise fuse-native's defaults: names and attributes are valid for a second
  { fsname: 'llambo-bench,direct_io', timeout: false },
)
fuse.mount((error: Error | null) => {
  if (error) throw error
  process.send!('ready')
})
process.on('message', () => fuse.unmount(() => process.exit(0)))
