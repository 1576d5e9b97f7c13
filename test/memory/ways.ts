/** Ways to have a server keep memory, each until it refuses: what `npm test` does one by one, and `test:faults` all at once. */
import type { Client, Fid } from '../../fs/client.js'
import { ORDWR, OREAD } from '../../fs/protocol.js'

/** Somebody's root on a connection of their own. */
export interface Seat {
  readonly client: Client
  readonly root: Fid
}

/** Gives a user a new connection. */
export type Dial = (user: number) => Promise<Seat>

/** How a way ended: what it was refused with, or nothing where it was let do all it wanted. */
export interface Ended {
  readonly refusal: string | undefined
  /** Lets go of everything that it holds. */
  leave(): void
}

const MB = 1_000_000
const encoder = new TextEncoder()

/** What one way does again and again. @throws what it is refused with */
type Step = (hoard: Hoard, i: number) => Promise<unknown>

/** One user's connections and what is open on them. */
class Hoard {
  readonly #seats: Seat[] = []
  /** The session that a way fills once and reads often. */
  filled = ''

  constructor(
    readonly user: number,
    readonly dial: Dial,
  ) {}

  /** A connection of this user, made at the first use. */
  async seat(n = 0): Promise<Seat> {
    return (this.#seats[n] ??= await this.dial(this.user))
  }

  async open(path: string, mode: number, n = 0): Promise<Fid> {
    const { root } = await this.seat(n)
    const fid = await root.walk(path.split('/'))
    await fid.open(mode)
    return fid
  }

  /** Writes to a file of its own open, and leaves that open. */
  async write(path: string, bytes: Uint8Array): Promise<Fid> {
    const fid = await this.open(path, ORDWR)
    await fid.write(0, bytes)
    return fid
  }

  /** Makes a session, which lives on. @returns its number */
  async session(): Promise<string> {
    const fid = await this.open('session/clone', OREAD)
    const id = Buffer.from(await fid.read(0, 100))
      .toString()
      .trim()
    await fid.clunk()
    return id
  }

  leave(): void {
    for (const seat of this.#seats) seat?.client.close()
  }
}

const json = (value: unknown) => encoder.encode(JSON.stringify(value))
const long = 'x'.repeat(15 * MB)

/** 15 MB of an answer from a request of 60 kB: engine echo says its words again and again. */
const loud = json({ prompt: `${'y'.repeat(60_000)} z x500`, max_tokens: 500 })

/** Each way: how often it does what. */
export const ways: Record<string, { times: number; step: Step; harmless?: true }> = {
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
    times: 40,
    async step(hoard) {
      const lines = '{"role":"user","content":""}\n'.repeat(500_000)
      await hoard.write(`session/${await hoard.session()}/history`, encoder.encode(lines)).then(end)
    },
  },
  'long system prompts': {
    times: 60,
    async step(hoard) {
      await hoard.write(`session/${await hoard.session()}/system`, encoder.encode(long)).then(end)
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
    // they are kept, but shortened: nothing to refuse
    harmless: true,
    async step(hoard, i) {
      const other = await hoard.dial(20_000 + i)
      const fid = await other.root.walk(['generate'])
      await fid.open(ORDWR)
      await fid.write(0, json({ [long.slice(0, MB)]: 1 }))
      await fid.read(0, 10).catch(error => {
        other.client.close()
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
}

const end = (fid: Fid) => fid.clunk()

/** Goes one way as one user until that is refused or has been done as often as it says. What it holds stays held until `leave`. */
export async function go(name: string, user: number, dial: Dial): Promise<Ended> {
  const { times, step } = ways[name]!
  const hoard = new Hoard(user, dial)
  let refusal: string | undefined
  for (let i = 0; i < times && refusal === undefined; i++)
    await step(hoard, i).catch(error => {
      refusal = (error as Error).message
    })
  return { refusal, leave: () => hoard.leave() }
}
