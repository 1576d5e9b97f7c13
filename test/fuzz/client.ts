/** Fuzzes the 9P client with a hostile server. */

import { FsError } from '../../api/errors.js'
import { MAX_MSIZE } from '../../fs/base/limits.js'
import { Client, type Fid } from '../../fs/client/client.js'
import { Framer } from '../../fs/wire/framer.js'
import { pack } from '../../fs/wire/message.js'
import type { Dialect } from '../../fs/wire/protocol.js'
import { frame, unframe } from './frames.js'
import { replies } from './replies.js'
import { fault, settle, type Target } from './target.js'
import { Wire } from './wire.js'

const dialects: readonly Dialect[] = ['9P2000', '9P2000.u', '9P2000.L']

type Use = (root: Fid, signal: AbortSignal) => Promise<unknown>

/** What a program may do with a tree. The options byte chooses. */
const uses: readonly Use[] = [
  (root, signal) => root.readFile('file', signal),
  (root, signal) => root.writeFile('dir/file', new Uint8Array(300), signal),
  async (root, signal) => {
    for (const { name } of await (await (await root.walk(['dir'], signal)).open(0, signal)).list(signal))
      if (/^(\.\.?)?$|\/|\0/.test(name)) fault(`a directory has an entry ${JSON.stringify(name)}`)
  },
  async (root, signal) => (await root.walk(['file'], signal)).stat(signal),
  async (root, signal) => (await root.walk(['file'], signal)).wstat({ name: 'other', mtime: 1 }, signal),
  async (root, signal) => (await (await root.walk(['dir'], signal)).create('new', 0o644, 1, signal)).sync(signal),
  async (root, signal) => (await (await root.walk([], signal)).create('sub', 0x800001ed, 0, signal)).remove(),
  (root, signal) =>
    Promise.allSettled([
      root.stat(signal),
      root.walk(Array(20).fill('x'), signal),
      root.readFile('a', signal),
      root.clunk(),
    ]),
]

/**
 * A client with a hostile server, which answers each request with the next message of the input. A message whose tag is
 * even gets the tag of the oldest request instead, and if bit 1 is set its type, too. The options byte: dialect (0 to
 * 2; 3: the first message answers Tversion), 4 to 16 the use, 32 with a token, 64 aborts halfway, 128 traces.
 */
export const client: Target = {
  name: 'client',
  framed: true,
  seeds: () =>
    dialects.flatMap((dialect, i) =>
      replies(dialect).flatMap(list => [0, 1, 2, 3, 4, 5, 6, 7].map(use => frame(i | (use << 2), list))),
    ),
  async run(input) {
    const options = input[0] ?? 0
    const dialect = dialects[options & 3]
    const hostile = new Hostile(unframe(input), dialect)
    const abort = new AbortController()
    let calls = 0
    const call = async <T>(promise: Promise<T>): Promise<T | undefined> => {
      calls++
      try {
        return await promise
      } catch (error) {
        if (!(error instanceof FsError)) fault('a call failed with an error that is not an FsError', error)
        return undefined
      } finally {
        calls--
      }
    }
    const all = (async () => {
      const asked = { dialect: dialect ?? '9P2000.u', msize: 8192, ...(options & 128 && { trace: () => {} }) }
      const c = await call(Client.connect(hostile.wire, asked, abort.signal))
      if (!c) return
      const who = { uname: 'glenda', ...(options & 32 && { token: 'sesame' }) }
      const root = await call(c.attach(who, abort.signal))
      if (!root) return
      const use = uses[(options >> 2) & 7]!
      await Promise.all([call(use(root, abort.signal)), call(root.stat(abort.signal))])
    })()
    let over = false
    let failed: unknown
    all.then(
      () => {
        over = true
      },
      error => {
        over = true
        failed = error
      },
    )
    const half = hostile.left >> 1
    await settle(() => over || hostile.left === 0 || hostile.wire.over || (hostile.idle && hostile.left <= half))
    if (options & 64) abort.abort()
    await settle(() => over || hostile.left === 0 || hostile.wire.over)
    await settle(() => over, 20)
    hostile.wire.destroy()
    if (!(await settle(() => over))) fault(`${calls} calls did not settle when the connection was gone`)
    if (failed) throw failed
  },
}

class Hostile {
  readonly wire: Wire
  readonly #asked: { type: number; tag: number }[] = []
  readonly #framer = new Framer()
  #at = 0
  #scheduled = false

  constructor(
    readonly messages: readonly Uint8Array[],
    dialect: Dialect | undefined,
  ) {
    this.#framer.most = MAX_MSIZE
    this.wire = new Wire(sent => {
      for (const m of sent)
        this.#framer.push(m, bytes => this.#asked.push({ type: bytes[4]!, tag: bytes[5]! | (bytes[6]! << 8) }))
      this.#schedule()
    })
    if (dialect)
      this.messages = [pack({ type: 'Rversion', tag: 0xffff, msize: 8192, version: dialect }, dialect), ...messages]
  }

  /** How many messages the server has not sent yet. */
  get left(): number {
    return this.messages.length - this.#at
  }

  get idle(): boolean {
    return !this.#scheduled
  }

  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    queueMicrotask(() => {
      this.#scheduled = false
      while (this.#asked.length > 0 && this.left > 0 && !this.wire.over) this.#answer()
    })
  }

  #answer(): void {
    const m = this.messages[this.#at++]!.slice()
    if (m.length >= 7 && (m[5]! & 1) === 0) {
      const { type, tag } = this.#asked.shift()!
      if (m[5]! & 2) m[4] = type + 1
      m[5] = tag & 0xff
      m[6] = tag >> 8
    } else this.#asked.shift()
    this.wire.ondata(m)
  }
}
