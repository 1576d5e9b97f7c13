/** The users of a simulated cluster: each makes requests in many ways and checks what comes of them. */

import { FsError, fail } from '../../api/errors.js'
import { sleep } from '../../fs/base/clock.js'
import { Client, type Fid } from '../../fs/client/client.js'
import { ORDWR, OREAD, OWRITE } from '../../fs/wire/protocol.js'
import { Answer, StreamReader, TextReader, Wrong } from './check.js'
import type { Process } from './clock.js'
import type { Net } from './net.js'
import type { Random } from './random.js'
import type { Requests } from './requests.js'

const encoder = new TextEncoder()
const decoder = new TextDecoder()

/** How long a client tries to connect, in virtual ms. */
const DIAL_MS = 60_000

/** How long a client tries to find a task again, in virtual ms. */
const FOUND_MS = 40_000

/**
 * How a client reads: few or many bytes at once, with or without rests, and how often it changes its mind while it
 * waits.
 */
interface Manner {
  readonly most: number
  readonly rest_ms: number
  /** The probability that a read is interrupted, or that something is read again. */
  readonly fickle: number
}

export interface Load {
  net: Net
  random: Random
  requests: Requests
  /** Where the files are served. */
  door: string
  /** Tokens of the longest answer. */
  longest: number
  note(line: string): void
}

/** A user at a machine. They make one request after the other over their own connection. */
export class User {
  #client: Client | undefined
  #root: Promise<Fid> | undefined
  #words = 0
  readonly #manner: Manner

  constructor(
    readonly load: Load,
    readonly process: Process,
    readonly uid: number,
  ) {
    const { random } = load
    this.#manner = {
      // a byte at a time only if answers are short
      most: random.of([load.longest > 5 ? 50 : 1, 300, 8192, 100_000]),
      rest_ms: random.chance(0.2) ? random.whole(1, 400) : 0,
      fickle: random.of([0, 0, 0.1, 0.3]),
    }
  }

  get name(): string {
    return this.process.name
  }

  /** Makes this many requests, at random times until `until`. */
  async use(times: number, until: number): Promise<void> {
    const { random } = this.load
    const now = () => this.process.time.now
    for (let i = 0; i < times; i++) {
      await sleep(this.process, random.between(0, (2 * Math.max(1, until - now())) / (times - i + 1)))
      if (now() > until) return
      await this[random.weighted(KINDS)]()
    }
  }

  close(): void {
    this.#client?.close()
  }

  /** The root of the tree. Connects, also again if the connection is gone. */
  tree(): Promise<Fid> {
    this.#root ??= this.#attach().catch(error => {
      this.#root = undefined
      throw error
    })
    return this.#root
  }

  async #attach(): Promise<Fid> {
    const { load, process } = this
    for (const until = process.now() + DIAL_MS; ; ) {
      try {
        const client = await Client.connect(await load.net.dial(process, load.door), { clock: process })
        this.#client = client
        const root = await client.attach({ uname: this.name, n_uname: this.uid })
        // not earlier: a connection that breaks before this is dialled again by this loop, and must not be by others as
        // well
        client.closed.then(() => {
          if (this.#client === client) this.#root = undefined
        })
        return root
      } catch (error) {
        if (process.now() > until) throw error
        await sleep(process, load.random.whole(50, 1000))
      }
    }
  }

  /** A request that no other is equal to, and its right answer. */
  #answer(more: { stop?: boolean; max_tokens?: boolean } = {}): Answer {
    const { random, longest } = this.load
    const words = Array.from({ length: random.whole(1, 4) }, () => `${this.name}q${++this.#words}`)
    const count = random.whole(1, longest)
    return new Answer({
      words,
      count,
      ...(more.stop && random.chance(0.3) && { stop: random.whole(1, count + 3) }),
      ...(more.max_tokens && random.chance(0.3) && { max_tokens: random.whole(1, count + 3) }),
    })
  }

  async #open(path: string, mode: number): Promise<Fid> {
    const fid = await (await this.tree()).walk(path.split('/'))
    try {
      return await fid.open(mode)
    } catch (error) {
      fid.clunk().catch(() => {})
      throw error
    }
  }

  async #write(fid: Fid, text: string): Promise<void> {
    const bytes = encoder.encode(text)
    const cut = this.load.random.chance(0.2) ? this.load.random.whole(0, bytes.length) : bytes.length
    await fid.write(0, bytes.subarray(0, cut))
    if (cut < bytes.length) await fid.write(cut, bytes.subarray(cut))
  }

  /** Reads to the end, or until `enough` says so. @param base the offset at which the file's content begins */
  async #read(fid: Fid, reader: TextReader | StreamReader, base = 0, enough = () => false): Promise<void> {
    const { random } = this.load
    const { most, rest_ms, fickle } = this.#manner
    const beginning = reader.at
    while (!enough()) {
      if (random.chance(fickle) && reader.at > beginning) {
        const back = random.whole(1, Math.min(50, reader.at))
        reader.take(reader.at - back, await fid.read(base + reader.at - back, random.whole(1, back)))
      }
      const controller = new AbortController()
      const cancel = random.chance(fickle) && this.process.after(random.whole(1, 300), () => controller.abort())
      try {
        const piece = await fid.read(base + reader.at, random.whole(1, most), controller.signal)
        if (piece.length === 0) {
          reader.end()
          if (reader instanceof StreamReader) this.load.requests.moves += reader.moves
          return
        }
        reader.take(reader.at, piece)
      } catch (error) {
        if (!(error instanceof FsError)) throw error
        if (error.is('interrupted') && controller.signal.aborted) continue
        reader.broke(error)
        throw error
      } finally {
        if (cancel) cancel()
      }
      if (rest_ms > 0) await sleep(this.process, random.whole(1, rest_ms))
    }
  }

  /** Does something with an open file, and then clunks it, even if that fails. */
  async #with(fid: Fid, use: (fid: Fid) => Promise<void>): Promise<void> {
    try {
      await use(fid)
    } finally {
      fid.clunk().catch(() => {})
    }
  }

  #json(answer: Answer, more: object = {}): string {
    const { stop, asked } = answer
    return JSON.stringify({
      messages: [{ role: 'user', content: answer.prompt }],
      ...(stop !== undefined && { stop: [stop] }),
      ...(asked.max_tokens !== undefined && { max_tokens: asked.max_tokens }),
      ...more,
    })
  }

  /**
   * Writes and reads on one fid, as a shell does after `exec 3<>data`: then the answer begins where the prompt ended.
   */
  data(): Promise<void> {
    return this.load.requests.run('data', this.process, [], async () => {
      const answer = this.#answer()
      await this.#with(await this.#open('data', ORDWR), async fid => {
        const prompt = `${answer.prompt}\n`
        await this.#write(fid, prompt)
        await this.#read(fid, new TextReader(answer), this.load.random.chance(0.5) ? prompt.length : 0)
      })
    })
  }

  /** Writes, closes, and reads on two other fids: `echo … > data; cat data & cat data`. */
  dataTwice(): Promise<void> {
    return this.load.requests.run('data of two fids', this.process, [], async () => {
      const answer = this.#answer()
      const fid = await this.#open('data', OWRITE)
      try {
        await this.#write(fid, `${answer.prompt}\n`)
      } finally {
        await fid.clunk()
      }
      const cat = async () => {
        await this.#with(await this.#open('data', OREAD), fid => this.#read(fid, new TextReader(answer)))
      }
      const ends = await Promise.allSettled([cat(), cat()])
      for (const end of ends) if (end.status === 'rejected') throw end.reason
    })
  }

  generate(): Promise<void> {
    return this.load.requests.run('generate', this.process, [], async () => {
      const answer = this.#answer({ stop: true, max_tokens: true })
      const reader = new StreamReader(answer)
      await this.#with(await this.#open('generate', ORDWR), async fid => {
        await this.#write(fid, this.#json(answer, { priority: this.load.random.whole(-1, 0) }))
        await this.#read(fid, reader)
      })
      if (reader.cancelled) throw new Wrong('cancelled, by nobody')
      if (reader.error) throw new FsError(reader.error, 0)
    })
  }

  /** Loses the connection in the middle of an answer, and reads it by the task's number. */
  kept(): Promise<void> {
    return this.load.requests.run('generate that is kept', this.process, ['file does not exist'], async request => {
      const answer = this.#answer()
      const first = new StreamReader(answer)
      const some = this.load.random.whole(0, answer.length)
      const fid = await this.#open('generate', ORDWR)
      await this.#write(fid, this.#json(answer, { keep_s: 600 }))
      await this.#read(fid, first, 0, () => first.task !== undefined && first.tokens >= some)
      this.load.note(`request ${request.id} hangs up after ${first.tokens} tokens of task ${first.task}`)
      const client = this.#client
      this.#client = this.#root = undefined
      client?.transport.destroy()
      const whole = new StreamReader(answer)
      await this.#with(await this.#open(`task/${first.task}/stream`, OREAD), fid => this.#read(fid, whole))
      if (whole.cancelled) throw new Wrong('cancelled, by nobody')
      if (whole.error) throw new FsError(whole.error, 0)
    })
  }

  /**
   * Reads the answer by the task's number, over as many connections as it takes: each goes on where the one before
   * ended.
   */
  followed(): Promise<void> {
    return this.load.requests.run('answer that is followed', this.process, [], async request => {
      const answer = this.#answer()
      request.prompt = answer.prompt
      const first = new StreamReader(answer)
      const fid = await this.#open('generate', ORDWR)
      await this.#write(fid, this.#json(answer, { keep_s: 600 }))
      await this.#read(fid, first, 0, () => first.task !== undefined)
      fid.clunk().catch(() => {})
      const reader = new TextReader(answer)
      for (let since = this.process.now(); ; ) {
        try {
          const fid = await this.#open(`task/${first.task}/answer`, OREAD)
          return await this.#with(fid, fid => this.#read(fid, reader))
        } catch (error) {
          const { process, load } = this
          const hungUp = error instanceof FsError && error.is('hungUp')
          if (hungUp) since = process.now()
          // a restarted orchestrator finds the task only when its worker has joined
          else if (!(error instanceof FsError && error.is('notFound') && process.now() - since < FOUND_MS)) throw error
          load.note(`request ${request.id} goes on from ${reader.at}: ${error.message}`)
          await sleep(process, load.random.whole(100, 1000))
        }
      }
    })
  }

  /** Leaves or cancels in the middle of an answer: what was read before is right, and nothing more comes. */
  cancel(): Promise<void> {
    return this.load.requests.run(
      'generate that is cancelled',
      this.process,
      ['cancelled', 'file does not exist'],
      async () => {
        const answer = this.#answer()
        const reader = new StreamReader(answer)
        const some = this.load.random.whole(0, answer.length)
        await this.#with(await this.#open('generate', ORDWR), async fid => {
          await this.#write(fid, this.#json(answer))
          await this.#read(fid, reader, 0, () => reader.task !== undefined && reader.tokens >= some)
          const how = this.load.random.of(['leave', 'rmdir', 'ctl'])
          if (how === 'leave' || reader.ended) return
          const root = await this.tree()
          if (how === 'rmdir') await (await root.walk(['task', reader.task!])).remove()
          else await root.writeFile(`task/${reader.task}/ctl`, 'cancel\n')
          await this.#read(fid, reader)
        })
        if (reader.error) throw new FsError(reader.error, 0)
      },
    )
  }

  deadline(): Promise<void> {
    return this.load.requests.run('generate with a deadline', this.process, ['deadline of'], async () => {
      const answer = this.#answer()
      const reader = new StreamReader(answer)
      const deadline_ms = this.load.random.whole(1, 5000)
      await this.#with(await this.#open('generate', ORDWR), async fid => {
        await this.#write(fid, this.#json(answer, { deadline_ms }))
        await this.#read(fid, reader)
      })
      if (reader.error) throw new FsError(reader.error, 0)
    })
  }

  /** A conversation: each turn gets its own answer, and the history has each turn once. */
  session(): Promise<void> {
    return this.load.requests.run('session', this.process, [], async () => {
      const { random } = this.load
      await this.#with(await this.#open('session/clone', ORDWR), async clone => {
        const id = decoder.decode(await clone.read(0, 100)).trim()
        const said: { role: string; content: string }[] = []
        for (let turn = random.whole(1, 3); turn > 0; turn--) {
          const answer = this.#answer()
          await this.#with(await this.#open(`session/${id}/data`, ORDWR), async fid => {
            await this.#write(fid, answer.prompt)
            await this.#read(fid, new TextReader(answer))
          })
          said.push({ role: 'user', content: answer.prompt }, { role: 'assistant', content: answer.text })
        }
        const history = decoder.decode(await (await this.tree()).readFile(`session/${id}/history`))
        const right = said.map(message => `${JSON.stringify(message)}\n`).join('')
        if (history !== right) throw new Wrong(`history ${history}, right is ${right}`)
      })
    })
  }

  /** Makes an invalid request, which must be refused as such. */
  mistake(): Promise<void> {
    return this.load.requests.run('mistake', this.process, [], async () => {
      await this.#with(await this.#open('generate', ORDWR), async fid => {
        await this.#write(fid, '{"prompt":"red","colour":"blue"}')
        const error = await fid.read(0, 100).then(
          () => fail('io'),
          (error: FsError) => error,
        )
        if (!error.is('badArgument')) throw error
      })
    })
  }
}

/** How often each kind of request is made. */
const KINDS = {
  data: 4,
  dataTwice: 3,
  generate: 6,
  kept: 2,
  followed: 2,
  cancel: 2,
  deadline: 1,
  session: 2,
  mistake: 0.3,
} as const
