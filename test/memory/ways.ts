/**
 * Ways to make a server keep memory, each until it refuses: `npm test` tries them one by one, and `test:faults` all at
 * once.
 */
import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { fail } from '../../api/errors.js'
import { MAX_MSIZE } from '../../fs/base/limits.js'
import { Client, type Fid } from '../../fs/client/client.js'
import { dial } from '../../fs/dial.js'
import { pack, unpack } from '../../fs/wire/message.js'
import { NOFID, NOTAG, ORDWR, OREAD } from '../../fs/wire/protocol.js'

/** A user's root on a connection of their own. */
interface Seat {
  readonly client: Client
  readonly root: Fid
}

/** How to reach the server: by its unix socket, and over HTTP, where the client is taken for its owner. */
export interface Server {
  readonly address: string
  readonly url: string
}

/** How a way ended: the error it was refused with, or undefined if everything was allowed. */
export interface Ended {
  readonly refusal: string | undefined
  /** Whether it ended as expected. */
  readonly asMeant: boolean
  /** Releases everything that it holds. */
  leave(): void
}

const MB = 1_000_000
const encoder = new TextEncoder()

/** The step that a way repeats. @throws the error it is refused with */
type Step = (hoard: Hoard, i: number) => Promise<unknown>

/** The connections of one user and what is open on them. */
class Hoard {
  readonly #seats: Seat[] = []
  readonly #others: { destroy(): void }[] = []
  /** Why the server closed a connection. */
  closed: string | undefined
  /** The session that a way fills once and reads often. */
  filled = ''

  constructor(
    readonly user: number,
    readonly server: Server,
  ) {}

  /** A connection of this user, made at its first use. */
  async seat(n = 0, address = this.server.address): Promise<Seat> {
    return (this.#seats[n] ??= await this.connect(this.user, address))
  }

  /** Makes a connection for a user. */
  async connect(user: number, address = this.server.address): Promise<Seat> {
    const transport = await dial(address)
    this.#others.push(transport)
    const client = await Client.connect(transport, { msize: MAX_MSIZE })
    void client.closed.then(why => {
      this.closed ??= why?.message ?? 'closed'
    })
    return { client, root: await client.attach({ uname: `u${user}`, n_uname: user }) }
  }

  /**
   * Makes a connection on which this user has attached, at the least possible cost to the test.
   * @throws the error it was refused with
   */
  async attached(): Promise<void> {
    let socket = await this.bare()
    // a busy server has no room in its queue of new connections
    for (; socket.destroyed; socket = await this.bare()) await sleep(50)
    // waits for Rversion and the reply to the attach, which come in one piece or in several
    const second = new Promise<Uint8Array>((resolve, reject) => {
      let all = Buffer.alloc(0)
      socket.on('data', (piece: Uint8Array) => {
        all = Buffer.concat([all, piece])
        const rest = all.length < 4 ? all.subarray(all.length) : all.subarray(all.readUInt32LE())
        if (rest.length >= 4 && rest.length >= rest.readUInt32LE()) resolve(rest)
      })
      socket.once('close', () => reject(fail('hungUp')))
    })
    socket.write(greeting(this.user))
    const reply = unpack(await second, '9P2000.u')
    if (reply.type === 'Rerror') throw new Error(reply.ename)
  }

  /** Makes a connection that sends nothing. */
  async bare(from?: string): Promise<Socket> {
    const { hostname, port } = new URL(this.server.url)
    const path = this.server.address.slice('unix!'.length)
    const to = from === undefined ? { path } : { host: hostname, port: Number(port), localAddress: from }
    const socket = connect(to)
    this.#others.push(socket)
    socket.on('error', () => undefined).resume()
    await new Promise(resolve => socket.once('connect', resolve).once('close', resolve))
    return socket
  }

  async open(path: string, mode: number, n = 0): Promise<Fid> {
    const { root } = await this.seat(n)
    const fid = await root.walk(path.split('/'))
    await fid.open(mode)
    return fid
  }

  /** Writes to a file on a fid of its own, and leaves that open. */
  async write(path: string, bytes: Uint8Array): Promise<Fid> {
    const fid = await this.open(path, ORDWR)
    await fid.write(0, bytes)
    return fid
  }

  /** Makes a session that lives on. @returns its number */
  async session(): Promise<string> {
    const fid = await this.open('session/clone', OREAD)
    const id = Buffer.from(await fid.read(0, 100))
      .toString()
      .trim()
    await fid.clunk()
    return id
  }

  leave(): void {
    for (const one of this.#others) one.destroy()
  }
}

const json = (value: unknown) => encoder.encode(JSON.stringify(value))
const long = 'x'.repeat(15 * MB)

/** A request of 60 kB whose answer has 15 MB: engine echo repeats its words. */
const loud = json({ prompt: `${'y'.repeat(60_000)} z x500`, max_tokens: 500 })

interface Way {
  times: number
  step: Step
  /** The error it is refused with; the memory budget if omitted. */
  ends?: RegExp
  /** It is never refused: what it makes the server keep is bounded, and the oldest part is dropped. */
  harmless?: true
}

const budget = /^over the memory budget of this server: .* MiB; /

/** Each way, and how often its step is repeated. */
export const ways: Record<string, Way> = {
  'requests that are not read': {
    times: 60,
    step: hoard => hoard.write('generate', encoder.encode(`{"prompt":"${long}`)),
  },
  'answers that are not read': {
    times: 60,
    async step(hoard) {
      const fid = await hoard.write('generate', loud)
      for (let at = 0; at < 14 * MB; ) {
        const piece = await fid.read(at, 65536)
        if (piece.length === 0) break
        at += piece.length
      }
    },
  },
  'long histories': {
    times: 40,
    async step(hoard) {
      await hoard.write(`session/${await hoard.session()}/history`, json({ role: 'user', content: long })).then(end)
    },
  },
  'empty messages': {
    times: 60,
    async step(hoard) {
      const lines = '{"role":"user","content":""}\n'.repeat(100_000)
      await hoard.write(`session/${await hoard.session()}/history`, encoder.encode(lines)).then(end)
    },
  },
  'long system prompts': {
    times: 60,
    async step(hoard) {
      await hoard.write(`session/${await hoard.session()}/system`, encoder.encode(long)).then(end)
    },
  },
  "files beside a session's own": {
    times: 200,
    async step(hoard) {
      const { root } = await hoard.seat()
      const file = await root.walk(['session', await hoard.session()])
      await file.create('draft', 0o600, ORDWR)
      await file.write(0, part.subarray(0, MB))
      // under another name they take as much memory
      await file.wstat({ name: 'text' })
    },
  },
  'thousands of sessions': { times: 12_000, step: hoard => hoard.session() },
  'texts to embed': {
    times: 60,
    async step(hoard) {
      const fid = await hoard.write('embed', json({ input: Array.from({ length: 500 }, () => 'w '.repeat(15_000)) }))
      await fid.read(0, 10)
    },
  },
  'nested JSON': {
    times: 60,
    async step(hoard) {
      const schema = `{"enum":[${'[],'.repeat(4 * MB)}[]]}`
      const fid = await hoard.write('generate', encoder.encode(`{"prompt":"a","keep_s":600,"schema":${schema}}`))
      await fid.read(0, 10)
    },
  },
  'long errors': {
    times: 8,
    harmless: true,
    async step(hoard, i) {
      const other = await hoard.connect(20_000 + i)
      const fid = await other.root.walk(['generate'])
      await fid.open(ORDWR)
      await fid.write(0, json({ [long.slice(0, MB)]: 1 }))
      await fid.read(0, 10).catch(error => {
        if (/memory budget/.test(error.message)) throw error
      })
    },
  },
  'thousands of fids': {
    times: 30,
    async step(hoard, i) {
      const { root } = await hoard.seat(i)
      for (let n = 0; n < 4000; n += 200) await Promise.all(Array.from({ length: 200 }, () => root.walk(['status'])))
    },
  },
  'long files that are held open': {
    times: 60,
    async step(hoard, i) {
      if (i === 0) {
        hoard.filled = await hoard.session()
        const history = json({ role: 'user', content: long.slice(0, 5 * MB) })
        await hoard.write(`session/${hoard.filled}/history`, history).then(end)
      }
      await (await hoard.open(`session/${hoard.filled}/history`, OREAD)).read(0, 10)
    },
  },
  'messages that are half there': {
    times: 300,
    async step(hoard, i) {
      const { client } = await hoard.seat(i + 1)
      client.transport.send([[part]])
      // a complete message goes the same way, and is answered
      const fid = await hoard.open('status', OREAD)
      await fid.write(0, part).catch(refusal)
      await fid.clunk()
    },
  },
  'WebSocket frames that are half there': {
    times: 300,
    // there is no request to answer with an error, so the connection is closed
    ends: /over the memory budget/,
    async step(hoard, i) {
      const { client } = await hoard.seat(i, hoard.server.url)
      const { ws } = client.transport as unknown as { ws: { _socket: Socket } }
      await new Promise(resolve => ws._socket.write(frame, resolve))
      await sleep(10)
    },
  },
  'connections that idle': {
    times: 70,
    step: hoard => Promise.all(Array.from({ length: 100 }, () => hoard.attached())),
  },
  'connections on which nobody attaches': {
    times: 60,
    harmless: true,
    step: hoard =>
      Promise.all(Array.from({ length: 50 }, async () => (await hoard.bare()).write(part.subarray(0, 8000)))),
  },
  'HTTP heads that are half there': {
    times: 60,
    harmless: true,
    step: (hoard, i) =>
      Promise.all(
        Array.from({ length: 50 }, async (_, n) =>
          (await hoard.bare(`127.0.${1 + i}.${1 + n}`)).write(`GET /9p HTTP/1.1\r\nX: ${'x'.repeat(16_000)}`),
        ),
      ),
  },
  'followers of events': {
    times: 10,
    async step(hoard, i) {
      const { root } = await hoard.seat(i)
      for (let n = 0; n < 4000; n += 100)
        await Promise.all(
          Array.from({ length: 100 }, async () => {
            const fid = await root.walk(['event'])
            await fid.open(OREAD)
            await fid.read(0, 65536)
          }),
        )
    },
  },
  'reads that wait': {
    times: 20,
    async step(hoard, i) {
      const { root } = await hoard.seat(i)
      const fid = await root.walk(['event'])
      await fid.open(OREAD)
      const newest = await fid.read(0, 65536)
      let refused: Error | undefined
      const failed = (error: Error) => {
        if (!/memory budget/.test(error.message)) return
        refused ??= error
      }
      for (let n = 0; n < 4000; n++) void fid.read(newest.length, 10).catch(failed)
      // answered after all of them
      await root.stat()
      if (refused) throw refused
    },
  },
  'replies that are not read': {
    times: 300,
    // requests that were accepted cannot be refused any more, so the connection is closed
    ends: /^closed$|EPIPE|ECONNRESET|^over the memory budget/,
    async step(hoard, i) {
      const { client, root } = await hoard.seat(i)
      const fid = await root.walk(['models', 'llambo-tiny.gguf'])
      await fid.open(OREAD)
      client.transport.pause()
      for (let n = 0; n < 8; n++) void fid.read((n % 2) * 1e6, MAX_MSIZE).catch(() => undefined)
      await sleep(20)
      // noticed at the next write
      void root.stat().catch(() => undefined)
      await sleep(5)
    },
  },
  'a worker that keeps what it is written': {
    times: 30,
    step: hoard => hoard.write('worker-0001/generate', encoder.encode(`{"prompt":"${long}`)),
  },
}

/** All but the last byte of a message of maximum size. */
const part = Buffer.alloc(MAX_MSIZE - 1)
part.writeUInt32LE(MAX_MSIZE)
part[4] = 118
/** The first messages of a client. */
const greeting = (user: number) =>
  Buffer.concat([
    pack({ type: 'Tversion', tag: NOTAG, msize: MAX_MSIZE, version: '9P2000.u' }, '9P2000'),
    pack({ type: 'Tattach', tag: 1, fid: 1, afid: NOFID, uname: `u${user}`, aname: '', n_uname: user }, '9P2000.u'),
  ])
/** A WebSocket frame of the same size, masked, without its last byte. */
const frame = Buffer.concat([Buffer.from([0x82, 0xff, 0, 0, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0]), part])

/** Throws only refusals for lack of memory. */
const refusal = (error: Error) => {
  if (/memory budget/.test(error.message)) throw error
}
const end = (fid: Fid) => fid.clunk()

/**
 * Repeats one way as one user until it is refused or has been done as often as it says. What it holds stays held until
 * `leave`.
 */
export async function go(name: string, user: number, server: Server): Promise<Ended> {
  const { times, step, ends = budget, harmless } = ways[name]!
  const hoard = new Hoard(user, server)
  let refusal: string | undefined
  for (let i = 0; i < times && refusal === undefined; i++) {
    await step(hoard, i).catch(error => {
      refusal = (error as Error).message
    })
    refusal = hoard.closed ?? refusal
  }
  return { refusal, asMeant: harmless ? refusal === undefined : ends.test(refusal ?? ''), leave: () => hoard.leave() }
}
