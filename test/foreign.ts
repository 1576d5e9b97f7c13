/**
 * A small file server that behaves as a given foreign 9P program does: with its dialect, its error texts and its
 * limits.
 */

import type { Transport } from '../fs/transport.js'
import { bareStat, dirent } from '../fs/wire/field.js'
import { Framer } from '../fs/wire/framer.js'
import { type Message, type Msg, packParts, type TMessage, unpack } from '../fs/wire/message.js'
import { type Dialect, DMDIR, NONUNAME, NOTAG, OTRUNC, QTDIR, type Stat } from '../fs/wire/protocol.js'
import { text } from '../fs/wire/text.js'

/** How a foreign program behaves. */
export interface Manner {
  /** Its answer to a Tversion. */
  version(msize: number, asked: string): { msize: number; version: string } | Refusal
  /** Its refusal of Tauth; undefined: it gives an afid. */
  auth?: Refusal
  missing: Refusal
  /** Its refusal of Twstat; undefined: it does what is asked. */
  wstat?: Refusal
  /** Its errors are Rerrors with a number and no text. */
  bare?: boolean
  /** It leaves truncation to Tsetattr, and removal to Tunlinkat. */
  byName?: boolean
  /** What it makes of the count of a Tread. */
  count?(count: number): number
}

export interface Refusal {
  ename: string
  errno?: number
  /** Sent in the bytes of 9P2000.u, whatever dialect was agreed on. */
  numbered?: boolean
}

const lib9p = (name: string): Manner => ({
  version: (msize, asked) => ({ msize, version: asked.startsWith('9P2000') ? '9P2000' : 'unknown' }),
  auth: { ename: `${name}: authentication not required` },
  missing: { ename: 'file not found' },
  wstat: { ename: 'wstat prohibited' },
})

/** The programs by name. Each behaves as its source says. */
export const manners = {
  /** Plan 9's and plan9port's lib9p, as srv9p has it. */
  lib9p: lib9p('ramfs'),
  /** lionkov/go9p: 9P2000.u if it is asked for. */
  go9p: {
    version: (msize, asked) => ({ msize: Math.min(msize, 8216), version: asked === '9P2000.u' ? asked : '9P2000' }),
    auth: { ename: 'no authentication required', errno: 22 },
    missing: { ename: 'file not found', errno: 2 },
  },
  /** Inferno's export: takes 65,560, and counts what is read in 16 bits. */
  inferno: {
    version: msize => ({ msize: Math.min(msize, 65560), version: '9P2000' }),
    auth: { ename: 'authentication not required' },
    missing: { ename: 'file does not exist' },
    count: count => count & 0xffff,
  },
  /** Knows only the exact name of its own version, and refuses others with an Rerror without a number. */
  plain: {
    version: (msize, asked) =>
      asked === '9P2000' ? { msize: Math.min(msize, 8192), version: '9P2000' } : { ename: 'unknown 9P version' },
    auth: { ename: 'unknown message' },
    missing: { ename: "'x' file does not exist" },
  },
  /** Answers in 9P2000.L, whatever it was asked for (like diod, with Tauth refused by a number). */
  linux: {
    version: msize => ({ msize: Math.min(msize, 65536), version: '9P2000.L' }),
    auth: { ename: '', errno: 38 },
    missing: { ename: '', errno: 2 },
  },
  /**
   * nfs-ganesha 4.3: 9P2000.L alone. Its errors have the number of an Rlerror under the type of an Rerror, even before
   * a version is agreed on.
   */
  ganesha: {
    version: (msize, asked) =>
      asked === '9P2000.L' ? { msize: Math.min(msize, 65536), version: asked } : { ename: '', errno: 2 },
    auth: { ename: '', errno: 95 },
    missing: { ename: '', errno: 2 },
    bare: true,
    // the program itself ends by SIGSEGV at a Tremove
    byName: true,
  },
} satisfies Record<string, Manner>

/** The bit of Tsetattr's `valid` that says that the length is given. */
const SIZE = 8

class Node {
  static last = 0n
  readonly path = ++Node.last
  readonly children = new Map<string, Node>()
  data = Buffer.alloc(0)
  gid = 0
  /** In seconds since 1970, as 9P2000.L sends it. */
  mtime = 1_000_000_000n
  constructor(
    readonly name: string,
    readonly directory: boolean,
  ) {}

  get qid() {
    return { type: this.directory ? QTDIR : 0, version: 0, path: this.path }
  }

  get stat(): Stat {
    const ids = { uid: 'sys', gid: 'sys', muid: 'sys', n_uid: NONUNAME, n_gid: NONUNAME, n_muid: NONUNAME }
    const mode = this.directory ? (DMDIR | 0o777) >>> 0 : 0o666
    const times = { atime: 1_000_000_000, mtime: 1_000_000_000 }
    return {
      type: 0,
      dev: 0,
      qid: this.qid,
      mode,
      ...times,
      length: BigInt(this.data.length),
      name: this.name,
      extension: '',
      ...ids,
    }
  }
}

/** One tree, served on any number of connections. */
export class ForeignServer {
  readonly root = new Node('/', true)
  /** Every request, as text.ts writes it. */
  readonly requests: string[] = []
  /** Requests that are never answered, as text.ts writes them. */
  stuck: RegExp | undefined

  constructor(readonly manner: Manner) {}

  /** A file by its path; undefined if there is none. */
  file(path: string): Node | undefined {
    return path.split('/').reduce<Node | undefined>((at, name) => at?.children.get(name), this.root)
  }

  add(path: string, data?: string): Node {
    const names = path.split('/')
    const node = new Node(names.at(-1)!, data === undefined)
    node.data = Buffer.from(data ?? '')
    const parent = names.length === 1 ? this.root : this.file(names.slice(0, -1).join('/'))!
    parent.children.set(node.name, node)
    return node
  }

  serve(transport: Transport): void {
    let dialect: Dialect = '9P2000'
    const framer = new Framer()
    const fids = new Map<number, { node: Node; parent: Node }>()
    transport.onclose = () => {}
    transport.ondata = chunk =>
      framer.push(chunk, bytes => {
        const m = unpack(bytes, dialect) as TMessage
        this.requests.push(text(m))
        if (this.stuck?.test(text(m))) return
        let reply: Message
        let spoken = dialect
        try {
          const body = this.#answer(m, fids, dialect)
          reply = { ...body, type: m.type.replace('T', 'R'), tag: m.tag } as Message
          if (reply.type === 'Rversion') {
            fids.clear()
            if (/^9P2000(\.[uL])?$/.test(reply.version)) dialect = reply.version as Dialect
            framer.most = reply.msize
          }
        } catch (error) {
          const { ename, errno = 0, numbered = false } = error as Refusal
          if (ename === undefined) throw error
          if (numbered) spoken = '9P2000.u'
          reply =
            dialect === '9P2000.L' || this.manner.bare
              ? { type: 'Rlerror', tag: m.tag, ecode: errno }
              : { type: 'Rerror', tag: m.tag, ename, errno }
        }
        if (reply.type === 'Rlerror' && this.manner.bare) transport.send([[bare(reply)]])
        else transport.send([packParts(reply, spoken)])
      })
  }

  #answer(m: TMessage, fids: Map<number, { node: Node; parent: Node }>, dialect: Dialect): object {
    const { manner } = this
    const known = (fid: number) => fids.get(fid) ?? refuse({ ename: 'unknown fid', errno: 9 })
    switch (m.type) {
      case 'Tversion': {
        const answer = manner.version(m.msize, m.version)
        return 'ename' in answer ? refuse(answer) : answer
      }
      case 'Tauth':
        return manner.auth ? refuse(manner.auth) : { aqid: { type: 8, version: 0, path: 0n } }
      case 'Tattach':
        fids.set(m.fid, { node: this.root, parent: this.root })
        return { qid: this.root.qid }
      case 'Twalk': {
        let at = known(m.fid)
        const wqid = []
        for (const name of m.wname) {
          const node = name === '..' ? at.parent : at.node.children.get(name)
          if (!node) break
          at = { node, parent: at.node }
          wqid.push(node.qid)
        }
        if (wqid.length === 0 && m.wname.length > 0) return refuse(manner.missing)
        if (wqid.length === m.wname.length) fids.set(m.newfid, at)
        return { wqid }
      }
      case 'Topen':
      case 'Tlopen': {
        const { node } = known(m.fid)
        if ('mode' in m ? m.mode & OTRUNC : m.flags & 0o1000 && !manner.byName) node.data = Buffer.alloc(0)
        return { qid: node.qid, iounit: 0 }
      }
      case 'Tcreate':
      case 'Tlcreate':
        return this.#create(known(m.fid).node, m.name, 'perm' in m ? m.perm : 0, 'gid' in m ? m.gid : 0, made =>
          fids.set(m.fid, { node: made, parent: known(m.fid).node }),
        )
      case 'Tmkdir':
        return this.#create(known(m.dfid).node, m.name, DMDIR, m.gid)
      case 'Tread': {
        const { node } = known(m.fid)
        const all = node.directory ? listing(node, dialect) : node.data
        const from = Number(m.offset)
        const count = manner.count?.(m.count) ?? m.count
        return { data: node.directory ? whole(all, from, count) : all.subarray(from, from + count) }
      }
      case 'Treaddir': {
        const names = [...known(m.fid).node.children.values()].slice(Number(m.offset))
        const entries = names.map(({ qid, name, directory }, i) => ({
          qid,
          offset: m.offset + BigInt(i + 1),
          type: directory ? 4 : 8,
          name,
        }))
        return { data: Buffer.concat(entries.map(entry => packed(dirent, entry, '9P2000.L'))) }
      }
      case 'Twrite': {
        const { node } = known(m.fid)
        const from = Number(m.offset)
        const before = Buffer.alloc(Math.max(node.data.length, from + m.data.length))
        node.data.copy(before)
        before.set(m.data, from)
        node.data = before
        return { count: m.data.length }
      }
      case 'Tclunk':
        fids.delete(m.fid)
        return {}
      case 'Tunlinkat': {
        const { node } = known(m.dirfid)
        if (!manner.byName) return refuse({ ename: '', errno: 95 })
        return node.children.delete(m.name) ? {} : refuse(manner.missing)
      }
      case 'Tremove': {
        if (manner.byName) return refuse({ ename: '', errno: 5 })
        const { node, parent } = known(m.fid)
        fids.delete(m.fid)
        parent.children.delete(node.name)
        return {}
      }
      case 'Tstat':
        return { stat: known(m.fid).node.stat }
      case 'Twstat':
        return manner.wstat ? refuse(manner.wstat) : {}
      case 'Tgetattr':
        return attributes(known(m.fid).node)
      case 'Tsetattr':
        if (m.valid & SIZE) known(m.fid).node.data = known(m.fid).node.data.subarray(0, Number(m.size))
        return {}
      case 'Tfsync':
        return {}
      case 'Tstatfs':
        return {
          fstype: 1,
          bsize: 4096,
          blocks: 0n,
          bfree: 0n,
          bavail: 0n,
          files: 0n,
          ffree: 0n,
          fsid: 0n,
          namelen: 255,
        }
      default:
        return refuse({ ename: 'unknown message', errno: 38 })
    }
  }

  #create(parent: Node, name: string, perm: number, gid: number, made: (node: Node) => void = () => {}): object {
    if (parent.children.has(name)) refuse({ ename: 'file already exists', errno: 17 })
    const node = new Node(name, (perm & DMDIR) !== 0)
    node.gid = gid
    parent.children.set(name, node)
    made(node)
    return { qid: node.qid, iounit: 0 }
  }
}

/** An Rlerror under the type of an Rerror. */
function bare(reply: Msg<'Rlerror'>): Uint8Array {
  const bytes = Buffer.concat(packParts(reply, '9P2000.L'))
  bytes[4] = 107
  return bytes
}

function refuse(refusal: Refusal): never {
  throw refusal
}

function packed<T>(
  field: { size(v: T, d: Dialect): number; put(c: { bytes: Uint8Array; at: number }, v: T, d: Dialect): void },
  value: T,
  dialect: Dialect,
): Buffer {
  const bytes = Buffer.alloc(field.size(value, dialect))
  field.put({ bytes, at: 0 }, value, dialect)
  return bytes
}

const listing = (node: Node, dialect: Dialect): Buffer =>
  Buffer.concat([...node.children.values()].map(({ stat }) => packed(bareStat, stat, dialect)))

/** Whole entries of a listing, as read(5) requires. */
function whole(all: Buffer, from: number, count: number): Buffer {
  let end = from
  while (end < all.length && end + 2 + all.readUInt16LE(end) - from <= count) end += 2 + all.readUInt16LE(end)
  return all.subarray(from, end)
}

function attributes(node: Node): Omit<Msg<'Rgetattr'>, 'tag' | 'type'> {
  const size = BigInt(node.data.length)
  const zero = { btime_sec: 0n, btime_nsec: 0n, gen: 0n, data_version: 0n, rdev: 0n }
  const times = {
    atime_sec: 1n,
    atime_nsec: 0n,
    mtime_sec: node.mtime,
    mtime_nsec: 0n,
    ctime_sec: 1n,
    ctime_nsec: 0n,
  }
  const mode = node.directory ? 0o40755 : 0o100640
  return {
    valid: 0x7ffn,
    qid: node.qid,
    mode,
    uid: 12,
    gid: node.gid,
    nlink: 1n,
    size,
    blksize: 4096n,
    blocks: 1n,
    ...times,
    ...zero,
  }
}

/** How a Tversion begins in `requests`. */
export const VERSION = `Tversion tag ${NOTAG}`
