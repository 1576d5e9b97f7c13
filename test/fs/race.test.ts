/** Property test of racing requests: their replies must be possible in some order of the requests (history.ts). */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { fail } from '../../fs/base/errors.js'
import type { Context, File, Opened, User } from '../../fs/file.js'
import { Connection } from '../../fs/server/server.js'
import { type Message, pack, type TMessage, unpack } from '../../fs/wire/message.js'
import { NOFID, ORDWR, OREAD, OWRITE, QTDIR } from '../../fs/wire/protocol.js'
import { text } from '../../fs/wire/text.js'
import { Wire } from '../fuzz/wire.js'
import { type Call, content, inSomeOrder, type paths, qidPath, step } from './history.js'
import { glenda } from './tree.js'

const encoder = new TextEncoder()
/** Turns of the microtask queue after which a reply is on the wire. */
const TURNS = 60
/** Longer than any run, so that no flush gives up waiting. */
const NEVER_MS = 1e9

/** A server whose files answer when the scheduler says so, in any order, and the record of its wire. */
class Server {
  readonly calls: Call[] = []
  /** Requests without a reply, by tag; tags are not reused. */
  readonly waiting = new Map<number, Call | 'flush'>()
  /** The tag that each Tflush flushes. */
  readonly flushes = new Map<number, number>()
  readonly wrong: string[] = []
  readonly session: Connection
  /** How often each open file was closed. */
  readonly closes: number[] = []
  readonly #wire: Wire
  readonly #removed = new Set<string>()
  /** The paths removed before the last Tversion. */
  #before: ReadonlySet<string> = new Set()
  #clock = 0
  #tag = 0

  constructor(readonly scheduler: fc.Scheduler) {
    this.#wire = new Wire(sent => {
      for (const bytes of sent) this.#take(unpack(bytes, '9P2000'))
    })
    const root = this.#file('/')
    const user: User = { name: 'glenda', uid: 1000, role: 'use' }
    this.session = new Connection(this.#wire, {
      attach: () => this.#later('attach', () => ({ root, user })),
      onerror: error => this.wrong.push(String(error)),
      times: { flush: NEVER_MS, version: NEVER_MS },
    })
    this.version()
  }

  get tags(): number {
    return this.#tag
  }

  send(m: TMessage): void {
    const call: Call = { m, sent: ++this.#clock, answered: Number.POSITIVE_INFINITY, reply: undefined }
    this.waiting.set(m.tag, m.type === 'Tflush' ? 'flush' : call)
    if (m.type !== 'Tflush') this.calls.push(call)
    this.#wire.ondata(pack(m, '9P2000'))
  }

  /** The next tag. */
  tag(): number {
    return ++this.#tag
  }

  /** Starts again with a Tversion: earlier requests get no reply any more, and there are no fids. */
  version(): void {
    this.#wire.ondata(pack({ type: 'Tversion', tag: 0xffff, msize: 8192, version: '9P2000' }, '9P2000'))
    this.waiting.clear()
    this.check()
    this.calls.length = 0
    this.#before = new Set(this.#removed)
  }

  /** Runs everything that waits to its end. */
  async quiet(): Promise<void> {
    do {
      await this.scheduler.waitAll()
      for (let i = 0; i < TURNS; i++) await undefined
    } while (this.scheduler.count() > 0)
  }

  async end(): Promise<void> {
    this.#wire.destroy()
    await this.quiet()
    let ended = false
    this.session.closed.then(() => {
      ended = true
    })
    await this.quiet()
    if (!ended) this.wrong.push('the session does not end')
  }

  check(): void {
    if (!inSomeOrder(this.calls, this.#before)) this.wrong.push('no order of the requests allows these replies')
  }

  get history(): string {
    return this.calls
      .map(
        ({ m, sent, answered, reply }) => `${sent} ${text(m)} => ${reply ? `${answered} ${text(reply)}` : 'nothing'}`,
      )
      .join('\n')
  }

  #take(reply: Message): void {
    if (reply.type === 'Rversion') return
    const call = this.waiting.get(reply.tag)
    this.waiting.delete(reply.tag)
    if (call === undefined) this.wrong.push(`${text(reply)}, for which no request waits`)
    else if (call === 'flush') {
      if (reply.type !== 'Rflush') this.wrong.push(`${text(reply)} in answer to a Tflush`)
      // from here on the flushed request must not be answered
      const old = this.flushes.get(reply.tag)!
      const flushed = this.waiting.get(old)
      this.waiting.delete(old)
      if (flushed && flushed !== 'flush') flushed.answered = ++this.#clock
    } else {
      call.answered = ++this.#clock
      call.reply = reply as Call['reply']
    }
  }
  /** Runs when the scheduler says so, unless it is interrupted before. */
  async #later<T>(label: string, run: () => T, ctx?: Context): Promise<T> {
    await this.scheduler.schedule(Promise.resolve(), label)
    if (ctx?.signal.aborted) throw fail('interrupted')
    return run()
  }

  #file(path: string): File {
    const directory = path.endsWith('/')
    const attributes = { mode: 0o777, owner: glenda, length: 0, mtime: 0, atime: 0 }
    const file: File = {
      qid: { type: directory ? QTDIR : 0, version: 0, path: qidPath(path) },
      attributes: ctx => this.#later(`attributes ${path}`, () => attributes, ctx),
      // ignores an interrupt
      open: () => this.#later(`open ${path}`, () => this.#opened(path)),
    }
    if (!directory)
      return {
        ...file,
        remove: ctx =>
          this.#later(
            `remove ${path}`,
            () => {
              if (this.#removed.has(path)) throw fail('notFound')
              this.#removed.add(path)
            },
            ctx,
          ),
      }
    return {
      ...file,
      walk: (name, ctx) =>
        this.#later(
          `walk ${path}${name}`,
          () => {
            const found = step(path, name)
            return found === undefined || this.#removed.has(found) ? undefined : this.#file(found)
          },
          ctx,
        ),
    }
  }

  #opened(path: string): Opened {
    const n = this.closes.push(0) - 1
    const closed = () => {
      if (this.closes[n]! > 0) this.wrong.push(`${path} is used after its close`)
    }
    return {
      read: (_offset, _count, ctx) =>
        this.#later(
          `read ${path}`,
          () => {
            closed()
            return encoder.encode(content(path))
          },
          ctx,
        ),
      write: (_offset, data) =>
        this.#later(`write ${path}`, () => {
          closed()
          return data.length
        }),
      list: ctx => this.#later(`list ${path}`, () => [], ctx),
      close: () => {
        this.closes[n]!++
        return this.#later(`close ${path}`, () => undefined)
      },
    }
  }
}

type Model = Record<never, never>
type Loose = { type: TMessage['type']; [field: string]: unknown }

/** Sends one request, whatever state the others are in. */
class Send implements fc.AsyncCommand<Model, Server> {
  constructor(readonly m: Loose) {}

  check(): boolean {
    return true
  }

  async run(_: Model, server: Server): Promise<void> {
    const { m } = this
    if (m.type === 'Tversion') return server.version()
    const tag = server.tag()
    // the tag of an earlier request, counted back from the last
    const oldtag = m.type === 'Tflush' ? Math.max(0, tag - 1 - (m.back as number)) : 0
    if (m.type === 'Tflush') server.flushes.set(tag, oldtag)
    server.send({ tag, oldtag, ...m } as unknown as TMessage)
  }

  toString(): string {
    return JSON.stringify(this.m, (_, v) => (typeof v === 'bigint' ? Number(v) : v))
  }
}

/** Sent before the race: they set up the root and two files. */
const begin: Loose[] = [
  { type: 'Tattach', fid: 0, afid: NOFID, uname: 'glenda', aname: '' },
  { type: 'Twalk', fid: 0, newfid: 1, wname: ['a'] },
  { type: 'Twalk', fid: 0, newfid: 2, wname: ['d', 'b'] },
]

const fid = fc.nat(3)
const wname = fc.array(fc.constantFrom('a', 'd', 'd', 'b', 'e', '..', 'none'), { maxLength: 3 })
const mode = fc.constantFrom(OREAD, OREAD, OWRITE, ORDWR)
const request = (type: Loose['type'], fields: Record<string, fc.Arbitrary<unknown>>, more: object = {}) =>
  fc.record(fields).map(some => new Send({ type, ...some, ...more }))

const commands = fc.commands(
  [
    request('Twalk', { fid, newfid: fid, wname }),
    request('Twalk', { fid, newfid: fid, wname: fc.constantFrom(['a'], ['d', 'b'], ['d'], []) }),
    fc.record({ fid, wname }).map(({ fid, wname }) => new Send({ type: 'Twalk', fid, newfid: fid, wname })),
    request('Topen', { fid, mode }),
    request('Topen', { fid, mode }),
    request('Tread', { fid }, { offset: 0n, count: 100 }),
    request('Twrite', { fid }, { offset: 0n, data: encoder.encode('data') }),
    request('Tstat', { fid }),
    request('Tclunk', { fid }),
    request('Tremove', { fid }),
    request('Tflush', { back: fc.nat(1) }),
    request('Tflush', { back: fc.nat(3) }),
    request('Tattach', { fid }, { afid: NOFID, uname: 'glenda', aname: '' }),
    request('Tversion', {}),
  ],
  { maxCommands: 16, size: 'max' },
)

/**
 * As many runs as a test has time for, fewer on a busy machine; `SEED` repeats a run that failed, `RUNS` sets their
 * number.
 */
const parameters = {
  ...(process.env.RUNS ? { numRuns: Number(process.env.RUNS) } : { numRuns: 800, interruptAfterTimeLimit: 12_000 }),
  ...(process.env.SEED && { seed: Number(process.env.SEED) }),
}

t.test('racing requests are answered once each, as in some sequential order, and each file is closed once', async t => {
  let runs = 0
  await fc.assert(
    fc.asyncProperty(fc.scheduler(), commands, async (scheduler, commands) => {
      runs++
      const server = new Server(scheduler)
      for (const m of begin) {
        await new Send(m).run({}, server)
        await server.quiet()
      }
      await fc.scheduledModelRun(scheduler, () => ({ model: {}, real: server }), commands)
      await server.quiet()
      server.check()
      for (const tag of server.waiting.keys()) server.wrong.push(`tag ${tag} was not answered`)
      const { history } = server
      await server.end()
      if (server.closes.some(n => n !== 1)) server.wrong.push(`files were closed ${server.closes} times`)
      assert.deepEqual(server.wrong, [], history)
    }),
    parameters,
  )
  t.pass(`${runs} runs`)
})

t.test('the model accepts possible replies and rejects impossible ones', async t => {
  const call = (m: Loose, sent: number, answered: number, reply: object): Call => ({
    m: { tag: 1, ...m } as unknown as TMessage,
    sent,
    answered,
    reply: { tag: 1, ...reply } as unknown as Call['reply'],
  })
  const attach = call({ type: 'Tattach', fid: 0 }, 1, 2, { type: 'Rattach' })
  const wqid = (path: (typeof paths)[number]) => [{ type: 0, version: 0, path: qidPath(path) }]
  const walk = (sent: number, answered: number, path: (typeof paths)[number]) =>
    call({ type: 'Twalk', fid: 0, newfid: 1, wname: ['a'] }, sent, answered, { type: 'Rwalk', wqid: wqid(path) })
  t.ok(inSomeOrder([attach, walk(3, 4, '/a')]))
  t.notOk(inSomeOrder([attach, walk(3, 4, '/d/')]), 'a walk that finds another file is impossible')
  const clunk = (sent: number, answered: number) => call({ type: 'Tclunk', fid: 1 }, sent, answered, { type: 'Rclunk' })
  t.ok(inSomeOrder([attach, walk(3, 6, '/a'), clunk(4, 7)]))
  t.notOk(
    inSomeOrder([attach, clunk(3, 4), walk(5, 6, '/a')]),
    'a clunk of a fid that does not exist yet is impossible',
  )
  t.notOk(inSomeOrder([attach, walk(3, 4, '/a'), clunk(5, 6), clunk(7, 8)]), 'a second clunk of a fid is impossible')
})
