/** Runs many 9P clients in one process, each of which reads several answers at once. It is run as a Child. */

import { requestText } from '../../api/request.js'
import { Client, type Fid } from '../../fs/client/client.js'
import { dial } from '../../fs/dial.js'
import { ORDWR } from '../../fs/wire/protocol.js'
import { answering, type Spread, spreadOf } from './child.js'

export interface Load {
  address: string
  connections: number
  /** How many answers are requested at once. As soon as one has ended, the next is requested. */
  streams: number
  /** One in this many streams reads text, from `data`, the others from `generate`. 0: none. */
  data: number
  /**
   * The average number of tokens of an answer. Answers are from half to one and a half times as long, so that they do
   * not all end at once.
   */
  tokens: number
}

export type ClientsAsk =
  /** Starts the load. Answers when every stream has received a token. */
  | { do: 'start'; load: Load }
  /** Answers with what arrived within that time. */
  | { do: 'measure'; seconds: number }
  /** Requests no more answers. Answers when those in progress have ended. */
  | { do: 'finish' }
  /** Requests this many answers of one token, one after another. */
  | { do: 'first'; address: string; requests: number }

export interface Came {
  tokens: number
  /** Answers that ended. */
  requests: number
  /** Time between tokens of one answer, in ms. If tokens arrive together, all but the first count as 0. */
  gap: Spread
  /** Time from the request to the first token, in ms. */
  first: Spread
}

const WORDS = ['red', 'green', 'blue']
const PIECE = 64 * 1024

let tokens = 0
let requests = 0
let gaps: number[] = []
let firsts: number[] = []
let failure: Error | undefined

/** The text of an answer of the echo engine with this many tokens. */
const text = (count: number) => `${Array.from({ length: count }, (_, i) => `${i}:${WORDS[i % 3]}`).join(' ')}\n`

/** Records when tokens arrive. */
class Meter {
  #asked = performance.now()
  #last = 0

  came(n: number): void {
    if (n === 0) return
    const now = performance.now()
    tokens += n
    if (this.#last === 0) firsts.push(now - this.#asked)
    else gaps.push(now - this.#last)
    for (let i = 1; i < n; i++) gaps.push(0)
    this.#last = now
  }
}

/** Reads events, and checks that each token is the next one. */
class Events {
  next = 0
  ended = false
  #rest = ''

  take(piece: Uint8Array): number {
    const lines = (this.#rest + Buffer.from(piece.buffer, piece.byteOffset, piece.length).toString('latin1')).split(
      '\n',
    )
    this.#rest = lines.pop()!
    const before = this.next
    for (const line of lines) {
      const event = JSON.parse(line)
      if (event.event === 'error') throw new Error(event.error)
      if (event.event === 'end') this.ended = true
      if (event.event !== 'token') continue
      for (const id of event.ids) if (id !== this.next++) throw new Error(`token ${id} where ${this.next - 1} belongs`)
    }
    return this.next - before
  }
}

/** Reads one answer from `generate`. */
async function generate(root: Fid, count: number, meter: Meter): Promise<void> {
  const prompt = `${WORDS.join(' ')} x${count}`
  const bytes = Buffer.from(requestText({ messages: [{ role: 'user', content: prompt }], max_tokens: count }))
  const { fid, answer } = await root.ask(['generate'], async fid => {
    const [, , first] = await Promise.all([fid.open(ORDWR), fid.write(0, bytes), fid.read(0, PIECE)])
    return first
  })
  const events = new Events()
  for (let piece = answer, at = 0; piece.length > 0; piece = await fid.read(at, PIECE)) {
    at += piece.length
    meter.came(events.take(piece))
  }
  if (!events.ended || events.next !== count) throw new Error(`${events.next} tokens of ${count}`)
  await fid.clunk()
}

/** Reads one answer as text from `data`. */
async function data(root: Fid, count: number, meter: Meter): Promise<void> {
  const bytes = Buffer.from(`${WORDS.join(' ')} x${count}`)
  const { fid, answer } = await root.ask(['data'], async fid => {
    const [, , first] = await Promise.all([fid.open(ORDWR), fid.write(0, bytes), fid.read(0, PIECE)])
    return first
  })
  let whole = ''
  for (let piece = answer, at = 0; piece.length > 0; piece = await fid.read(at, PIECE)) {
    at += piece.length
    const came = Buffer.from(piece.buffer, piece.byteOffset, piece.length).toString('latin1')
    whole += came
    meter.came(came.split(':').length - 1)
  }
  if (whole !== text(count)) throw new Error(`not the answer to ${count} tokens: ${whole.slice(-100)}`)
  await fid.clunk()
}

let going = false
let streams: Promise<void>[] = []

async function start(o: Load): Promise<void> {
  const roots: Fid[] = []
  for (let i = 0; i < o.connections; i++)
    roots.push(await (await Client.connect(await dial(o.address))).attach({ uname: '' }))
  going = true
  const begun: Promise<void>[] = []
  streams = Array.from({ length: o.streams }, async (_, i) => {
    const root = roots[i % roots.length]!
    const way = o.data && i % o.data === 0 ? data : generate
    let first!: () => void
    begun.push(new Promise(resolve => (first = resolve)))
    try {
      while (going) {
        const meter = new Meter()
        const { came } = meter
        meter.came = n => {
          came.call(meter, n)
          if (n > 0) first()
        }
        await way(root, Math.ceil(o.tokens * (0.5 + Math.random())), meter)
        requests++
      }
    } catch (error) {
      failure ??= error as Error
      first()
    }
  })
  await Promise.all(begun)
}

answering<ClientsAsk>(async ask => {
  if (ask.do === 'start') await start(ask.load)
  if (ask.do === 'finish') {
    going = false
    await Promise.all(streams)
  }
  if (ask.do === 'measure') {
    gaps = []
    firsts = []
    tokens = requests = 0
    await new Promise(resolve => setTimeout(resolve, ask.seconds * 1000))
  }
  if (ask.do === 'first') {
    firsts = []
    const client = await Client.connect(await dial(ask.address))
    const root = await client.attach({ uname: '' })
    for (let i = 0; i < ask.requests; i++) await generate(root, 1, new Meter())
    client.close()
  }
  if (failure) throw failure
  return { tokens, requests, gap: spreadOf(gaps), first: spreadOf(firsts) } satisfies Came
})
