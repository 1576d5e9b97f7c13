/** The tree that the tests of the protocol serve. */
import { fail } from '../../fs/base/errors.js'
import { type Entry, type File, newQid, type Opened, type Owner, type User } from '../../fs/file.js'
import { AppendLog } from '../../fs/kit/append-log.js'
import { bytes } from '../../fs/kit/content.js'
import { dir, generated } from '../../fs/kit/dir.js'
import type { ServeOptions } from '../../fs/server/server.js'
import { NONUNAME, QTDIR } from '../../fs/wire/protocol.js'

export const glenda: Owner = { name: 'glenda', uid: 1000, gid: 100 }
const other: Owner = { name: 'other', uid: 1001 }

/**
 * Serves its own tree to anyone, under the name that they give; with `auth`, to those who have the token `open sesame`.
 */
export function options(auth = false): ServeOptions {
  const root = testTree()
  const named = (name: string, uid = NONUNAME): User => ({ name, uid, role: 'use' })
  return {
    attach: ({ uname, n_uname, user }) => ({ root, user: user ?? named(uname, n_uname) }),
    ...(auth && {
      authenticate(token: string, uname: string) {
        if (token !== 'open sesame') throw fail('authRequired', 'no such token')
        return named(uname)
      },
    }),
  }
}

/** A small tree with which each rule of the protocol can be tested. */
export function testTree(): File {
  const file = bytes('deep\n', { owner: glenda })
  const c = dir(new Map([['file', file]]), glenda)
  const b = dir(new Map([['c', c]]), glenda)
  const a = dir(new Map([['b', b]]), glenda)
  const many = Array.from({ length: 100 }, (_, i): Entry => [`n${String(i).padStart(2, '0')}`, file])
  return dir(
    new Map([
      ['hello', bytes('hello, world\n', { owner: glenda })],
      ['a', a],
      ['many', dir(new Map(many), glenda)],
      ['empty', dir(new Map(), glenda)],
      ['queue', queue()],
      ['slow', slow()],
      ['private', bytes('mine\n', { owner: other, mode: 0o600 })],
      ['locked', dir(new Map([['file', file]]), other, 0o700)],
      ['ram', ram()],
    ]),
    glenda,
  )
}

const attributes = (mode: number, length = 0) => ({ mode, owner: glenda, length, mtime: 0, atime: 0 })

/** A file whose reads wait for what is written to it. */
function queue(): File {
  const log = new AppendLog()
  return {
    qid: newQid(),
    attributes: () => attributes(0o666),
    open: () => ({
      stream: true,
      read: (offset, count, ctx) => log.read(offset, count, ctx),
      write(_offset, data) {
        log.append(data)
        return data.length
      },
    }),
  }
}

/** A file that answers after 30 ms, whether it is interrupted or not. */
function slow(): File {
  const after = <T>(value: T) => new Promise<T>(resolve => setTimeout(() => resolve(value), 30))
  return {
    qid: newQid(),
    attributes: () => attributes(0o666),
    open: () => ({
      read: (offset, count) => after(new TextEncoder().encode('slow\n').subarray(offset, offset + count)),
      write: (_offset, data) => after(data.length),
    }),
  }
}

const MAX_RAM = 64 * 1024 * 1024

/** A directory in memory whose files can be created, written, truncated, renamed and removed. */
export function ram(): File {
  const files = new Map<string, File>()
  const make = (perm: number): File => {
    let content = new Uint8Array(0)
    const resize = (length: number) => {
      if (length > MAX_RAM) throw fail('tooLarge')
      const old = content
      content = new Uint8Array(length)
      content.set(old.subarray(0, length))
    }
    const nameOf = () => [...files].find(([, file]) => file === self)?.[0] ?? ''
    const self: File = {
      qid: newQid(perm >>> 24),
      attributes: () => attributes(perm & 0o777, content.length),
      open(mode): Opened {
        if (mode & 0x10) content = new Uint8Array(0)
        return {
          read: (offset, count) => content.slice(offset, offset + count),
          write(offset, data) {
            if (offset + data.length > content.length) resize(offset + data.length)
            content.set(data, offset)
            return data.length
          },
          list: () => [],
        }
      },
      remove: () => void files.delete(nameOf()),
      truncate() {
        content = new Uint8Array(0)
      },
      change({ name, length }) {
        if (length !== undefined) throw fail('notPermitted', 'a file can only be truncated to length 0')
        if (name === undefined) return
        if (files.has(name)) throw fail('exists')
        files.delete(nameOf())
        files.set(name, self)
      },
      ...((perm >>> 24) & QTDIR && { walk: () => undefined }),
    }
    return self
  }
  return generated({
    owner: glenda,
    mode: 0o777,
    walk: name => files.get(name),
    list: () => files,
    create(name, perm, mode, ctx) {
      if (files.has(name)) throw fail('exists')
      const file = make(perm)
      files.set(name, file)
      return { file, opened: file.open(mode, ctx) as Opened }
    },
  })
}
