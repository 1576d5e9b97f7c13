/** A hostile 9P server, for the fuzzer. */

import { bareStat } from '../../fs/wire/field.js'
import { join } from '../../fs/wire/framer.js'
import {
  type Message,
  messages,
  pack,
  type RMessage,
  replyTo,
  type TMessage,
  tagOf,
  unpack,
} from '../../fs/wire/message.js'
import type { Dialect, Qid, Stat } from '../../fs/wire/protocol.js'
import { Wire } from './wire.js'

type Loose = { type: RMessage['type']; [field: string]: unknown }

const NAMES = ['file', 'dir', 'other']
const data = new TextEncoder().encode('hello, world\n')

/** A file as an ordinary server shows it: names that begin with `d` are directories. */
export function statOf(name: string, changes: Partial<Stat> = {}): Stat {
  const qid = qidOf(name)
  return {
    type: 0,
    dev: 0,
    qid,
    mode: ((qid.type << 24) | 0o755) >>> 0,
    atime: 1,
    mtime: 2,
    length: 12n,
    name,
    uid: 'glenda',
    gid: 'glenda',
    muid: '',
    extension: '',
    n_uid: 1000,
    n_gid: 100,
    n_muid: 0xffffffff,
    ...changes,
  }
}

function qidOf(name: string): Qid {
  let path = 7n
  for (let i = 0; i < name.length; i++) path = (path * 31n + BigInt(name.charCodeAt(i))) & 0xffffn
  return { type: /^(d|\/)/.test(name) ? 0x80 : 0, version: 0, path }
}

/** Stats as one read of a directory returns them. */
export function listing(stats: readonly Stat[], dialect: Dialect): Uint8Array {
  return join(
    stats.map(stat => {
      const bytes = new Uint8Array(bareStat.size(stat, dialect))
      bareStat.put({ bytes, at: 0 }, stat, dialect)
      return bytes
    }),
  )
}

/** What a fid refers to at the server. */
interface At {
  name: string
  /** Made by a Tattach. */
  root?: true
}

/**
 * A server that sends what it is told to, right or wrong, and otherwise answers as an ordinary server would. It knows
 * which fids exist and which tags are in use, and records what a client does wrong with them.
 */
export class HostileServer {
  readonly wire: Wire
  readonly wrong: string[] = []
  /** Requests without an answer, by tag, the oldest first. */
  readonly asked = new Map<number, TMessage>()
  /** Fids that exist. */
  readonly fids = new Map<number, At>()
  /** Fids that an open request will make, and fids that one will end. */
  readonly #coming = new Set<number>()
  readonly #ending = new Set<number>()
  /** Tags whose reply was sent although a flush of them is not answered yet. */
  readonly #held = new Set<number>()
  /** It has sent something that is not a message. Nothing that it sends after that is read. */
  lost = false

  constructor(
    readonly dialect: Dialect,
    readonly msize: number,
    readonly refuses: boolean,
  ) {
    this.wire = new Wire(sent => {
      for (const m of sent) this.#take(m)
    })
  }

  /**
   * Sends a message. If its tag is even, it gets the tag of the oldest request, and if bit 1 is set its type, too.
   * @returns whether there was anything to answer
   */
  say(bytes: Uint8Array): boolean {
    if (this.wire.over || this.lost) return false
    const m = bytes.slice()
    if (m.length >= 7 && (m[5]! & 1) === 0) {
      const oldest = this.asked.entries().next().value
      if (!oldest) return false
      const [tag, { type }] = oldest
      if (m[5]! & 2) m[4] = messages[type].type + 1
      m[5] = tag & 0xff
      m[6] = tag >> 8
    }
    this.#say(m)
    return true
  }

  /** Answers all open requests as an ordinary server would. */
  answer(): void {
    for (const [tag, m] of this.asked) {
      if (this.wire.over || this.lost) return
      this.#say(pack({ tag, ...this.#reply(m) } as unknown as Message, this.dialect))
    }
  }

  #say(m: Uint8Array): void {
    const whole = m.length >= 7 && new DataView(m.buffer, m.byteOffset, 4).getUint32(0, true) === m.length
    this.lost = !whole || m.length > this.msize
    const heard = !this.lost && this.#effect(m)
    this.wire.ondata(m)
    if (!this.lost && !heard && !this.wire.over)
      this.wrong.push(`the client took ${Buffer.from(m.subarray(0, 40)).toString('hex')}`)
  }

  /** Applies what a reply changes. @returns whether a client can accept the reply */
  #effect(bytes: Uint8Array): boolean {
    let m: Message
    try {
      m = unpack(bytes, this.dialect)
    } catch {
      return false
    }
    const tag = tagOf(bytes)
    const request = this.asked.get(tag)
    if (!request) return false
    const failed = m.type === 'Rerror' || m.type === 'Rlerror'
    if (!failed && m.type !== replyTo(request.type)) return false
    if (m.type === 'Rread' && m.data.length > (request as { count: number }).count) return false
    if (m.type === 'Rwrite' && m.count > (request as { data: Uint8Array }).data.length) return false
    if (m.type === 'Rwalk' && m.wqid.length > (request as { wname: string[] }).wname.length) return false
    this.asked.delete(tag)
    const flushed = [...this.asked.values()].some(r => r.type === 'Tflush' && r.oldtag === tag)
    if (flushed) this.#held.add(tag)
    if (request.type === 'Tflush' && !failed) {
      this.#held.delete(request.oldtag)
      const old = this.asked.get(request.oldtag)
      this.asked.delete(request.oldtag)
      if (old) this.#done(old, undefined)
    } else if (request.type === 'Tflush') this.#held.delete(request.oldtag)
    else this.#done(request, failed ? undefined : (m as RMessage))
    return true
  }

  /** Updates the fids after a request was answered with this reply, or with an error. */
  #done(request: TMessage, reply: RMessage | undefined): void {
    if (request.type === 'Tattach' || request.type === 'Twalk') {
      const fid = request.type === 'Twalk' ? request.newfid : request.fid
      this.#coming.delete(fid)
      if (reply?.type === 'Rattach') this.fids.set(fid, { name: '/', root: true })
      const whole = reply?.type === 'Rwalk' && request.type === 'Twalk' && reply.wqid.length === request.wname.length
      if (whole) this.fids.set(fid, { name: request.wname.at(-1) ?? this.fids.get(request.fid)?.name ?? '/' })
    } else if (request.type === 'Tclunk' || request.type === 'Tremove') this.#ending.delete(request.fid)
    else if (request.type === 'Tcreate' && reply) this.fids.set(request.fid, { name: request.name })
  }

  #take(bytes: Uint8Array): void {
    let m: TMessage
    try {
      m = unpack(bytes, this.dialect) as TMessage
    } catch (error) {
      this.wrong.push(`the client sent no message: ${error}`)
      return
    }
    if (bytes.length > this.msize) this.wrong.push(`${m.type} of ${bytes.length} bytes, msize is ${this.msize}`)
    if (this.asked.has(m.tag) || this.#held.has(m.tag)) this.wrong.push(`${m.type} with tag ${m.tag}, which is in use`)
    const made = m.type === 'Tattach' ? m.fid : m.type === 'Twalk' && m.newfid !== m.fid ? m.newfid : undefined
    if (made !== undefined) {
      if (this.fids.has(made) || this.#coming.has(made) || this.#ending.has(made))
        this.wrong.push(`${m.type} makes fid ${made}, which is in use`)
      this.#coming.add(made)
    }
    // a request about a fid may be sent directly after the walk that makes the fid (Fid.ask)
    const behind = (m.type === 'Tstat' || m.type === 'Topen') && this.#coming.has(m.fid)
    if ('fid' in m && m.type !== 'Tattach' && !this.fids.has(m.fid) && !behind)
      this.wrong.push(`${m.type} of fid ${m.fid}, which does not exist`)
    if (m.type === 'Tclunk' || m.type === 'Tremove') {
      this.fids.delete(m.fid)
      this.#ending.add(m.fid)
    }
    this.asked.set(m.tag, m)
  }

  #reply(m: TMessage): Loose {
    const refused = m.type !== 'Tflush' && m.type !== 'Tattach' && m.type !== 'Tversion' && this.refuses
    if (refused) return { type: 'Rerror', ename: 'permission denied', errno: 13 }
    const at = 'fid' in m ? this.fids.get(m.fid) : undefined
    const type = replyTo(m.type)
    switch (m.type) {
      case 'Tversion':
        return { type, msize: Math.min(m.msize, this.msize), version: this.dialect }
      case 'Tattach':
        return { type, qid: qidOf('/') }
      case 'Twalk':
        return m.wname.includes('none')
          ? { type: 'Rerror', ename: 'file does not exist', errno: 2 }
          : { type, wqid: m.wname.map(qidOf) }
      case 'Topen':
      case 'Tcreate':
        return { type, qid: qidOf(m.type === 'Tcreate' ? m.name : (at?.name ?? '/')), iounit: 0 }
      case 'Tread': {
        if (!at || !/^(d|\/)/.test(at.name)) return { type, data: data.subarray(0, m.count) }
        return { type, data: m.offset === 0n ? this.#list(m.count) : new Uint8Array(0) }
      }
      case 'Twrite':
        return { type, count: m.data.length }
      case 'Tstat':
        return { type, stat: statOf(at?.name ?? '/') }
      default:
        return { type }
    }
  }

  #list(most: number): Uint8Array {
    const all = NAMES.map(name => listing([statOf(name)], this.dialect))
    while (all.reduce((n, one) => n + one.length, 0) > most) all.pop()
    return join(all)
  }
}
