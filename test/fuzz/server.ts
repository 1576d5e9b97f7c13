/** Fuzzes the 9P server with a hostile client. */

import { fail } from '../../api/errors.js'
import { MAX_QUEUED } from '../../fs/base/limits.js'
import type { User } from '../../fs/file.js'
import { Connection, type ServeOptions } from '../../fs/server/server.js'
import { type Message, messages, pack, tagOf, unpack } from '../../fs/wire/message.js'
import type { Dialect } from '../../fs/wire/protocol.js'
import { frame, unframe } from './frames.js'
import { requests } from './messages.js'
import { fault, settle, type Target } from './target.js'
import { FuzzTree } from './tree.js'
import { Wire } from './wire.js'

const dialects: readonly Dialect[] = ['9P2000', '9P2000.u', '9P2000.L']
const TVERSION = messages.Tversion.type
const TFLUSH = messages.Tflush.type

/**
 * A session with a hostile client. The options byte: dialect (0 to 2; 3: no Tversion is sent first), 4 asks for
 * authentication, 8 all in one chunk, 16 in chunks of five bytes, 32 lets promises settle between messages, 64 replies
 * are not taken for a while, 128 traces.
 */
export const server: Target = {
  name: 'server',
  framed: true,
  seeds: () =>
    dialects.flatMap((dialect, i) => requests(dialect).flatMap(list => [32 | i, i].map(how => frame(how, list)))),
  async run(input) {
    const options = input[0] ?? 0
    const list = unframe(input)
    const dialect = dialects[options & 3]
    if (dialect) list.unshift(pack({ type: 'Tversion', tag: 0xffff, msize: 8192, version: dialect }, dialect))
    const tree = new FuzzTree()
    const replies = new Replies()
    const wire = new Wire(messages => {
      if (options & 64) wire.queued = MAX_QUEUED + 1
      for (const m of messages) replies.take(m, session.dialect, session.msize)
    })
    const session = new Connection(wire, serve(tree, options))
    if (options & (8 | 16)) whole(wire, list, options & 16 ? 5 : 8192)
    else await each(wire, list, replies, (options & 32) !== 0)
    wire.queued = 0
    if (!wire.over) wire.ondrain()
    tree.end()
    await settle(() => wire.over || (options & (8 | 16)) !== 0 || replies.complete, 200)
    if (!wire.over) replies.check((options & (8 | 16)) === 0)
    wire.destroy()
    let ended = false
    session.closed.then(() => {
      ended = true
    })
    if (!(await settle(() => ended))) fault('the session does not end')
    if (!(await settle(() => tree.open <= 0))) fault(`${tree.open} files were left open`)
    if (tree.open < 0 || tree.twice > 0) fault('a file was closed twice')
    if (session.fids.size > 0) fault('fids are left')
  },
}

function serve(tree: FuzzTree, options: number): ServeOptions {
  const user = (name: string): User => ({ name, uid: 1000, role: name === 'reader' ? 'read' : 'use' })
  return {
    attach: who => ({ root: tree.root, user: who.user ?? user(who.uname) }),
    ...(options & 4 && {
      authenticate(token: string, uname: string) {
        if (token !== 'sesame') throw fail('authRequired')
        return user(uname)
      },
    }),
    ...(options & 128 && { trace: () => {} }),
    onerror: error => fault('a file threw an error that is not an FsError', error),
    times: { flush: 50 },
  }
}

/** Sends all messages as a stream that is cut anywhere. */
function whole(wire: Wire, list: readonly Uint8Array[], chunk: number): void {
  const stream = frame(0, list, false).subarray(1)
  for (let at = 0; at < stream.length && !wire.over; at += chunk) wire.ondata(stream.subarray(at, at + chunk))
}

async function each(wire: Wire, list: readonly Uint8Array[], replies: Replies, turns: boolean): Promise<void> {
  for (const m of list) {
    if (wire.over) return
    if (!framed(m)) {
      wire.ondata(m)
      return replies.lost()
    }
    replies.ask(m)
    wire.ondata(m)
    if (turns && !wire.over) await settle(() => false, 4)
  }
}

const framed = (m: Uint8Array) =>
  m.length >= 7 && new DataView(m.buffer, m.byteOffset, 4).getUint32(0, true) === m.length

/** Counts replies against requests, by tag. */
class Replies {
  /** Requests minus replies. */
  readonly #open = new Map<number, number>()
  /** Tags that a flush named: their requests may go without a reply. */
  readonly #flushed = new Set<number>()
  /** A later Tversion drops unanswered requests. Which ones cannot be told from outside. */
  #reset = false
  #counted = true

  ask(m: Uint8Array): void {
    const tag = tagOf(m)
    if (m[4] === TVERSION && this.#open.size > 0) this.#reset = true
    if (m[4] === TFLUSH && m.length >= 9) this.#flushed.add(m[7]! | (m[8]! << 8))
    this.#open.set(tag, (this.#open.get(tag) ?? 0) + 1)
  }

  /** The rest of the input is not a message: from here on, replies cannot be counted. */
  lost(): void {
    this.#counted = false
  }

  take(m: Uint8Array, dialect: Dialect, msize: number): void {
    let reply: Message
    try {
      reply = unpack(m, msize ? dialect : '9P2000')
    } catch (error) {
      try {
        // it was packed before a Tversion that came after it
        reply = dialects.map(d => tryUnpack(m, d)).find(r => r !== undefined) ?? fault('a reply is no message', error)
      } catch {
        fault(`a reply is no message: ${Buffer.from(m).toString('hex')}`, error)
      }
    }
    if (reply.type[0] !== 'R') fault(`the server sent ${reply.type}`)
    if (msize && m.length > Math.max(msize, 8192)) fault(`a reply of ${m.length} bytes, msize is ${msize}`)
    this.#open.set(reply.tag, (this.#open.get(reply.tag) ?? 0) - 1)
  }

  /** Whether every request has its reply. */
  get complete(): boolean {
    for (const [tag, n] of this.#open) if (n > 0 && !this.#flushed.has(tag)) return false
    return true
  }

  check(counted: boolean): void {
    if (!counted || !this.#counted) return
    for (const [tag, n] of this.#open) {
      if (n < 0) fault(`${-n} replies too many for tag ${tag}`)
      if (n > 0 && !this.#reset && !this.#flushed.has(tag)) fault(`${n} requests with tag ${tag} were not answered`)
    }
  }
}

function tryUnpack(m: Uint8Array, dialect: Dialect): Message | undefined {
  try {
    return unpack(m, dialect)
  } catch {
    return undefined
  }
}
