import { setTimeout as sleep } from 'node:timers/promises'
import { exitCode, Failure } from '../ctl/common/exit.js'
import { promptly, readText, withFile } from '../ctl/common/files.js'
import type { Fid } from '../fs/client.js'
import { timeLimit } from '../fs/clock.js'
import { FsError, fail, received, toFsError } from '../fs/errors.js'
import { ORDWR, OREAD, OWRITE } from '../fs/protocol.js'
import { parseRecords } from '../fs/quote.js'
import { isAway, type Link } from './link.js'
import type { Session, Wanted } from './session.js'

/** How long an answer is kept at the server when its connection breaks, in s. */
const KEEP_S = 60
/** How long it is looked for at a server that is back, in ms: its workers dial it first. */
const FIND_MS = 10_000
/** How long the model that began an answer may take to be loaded again, in ms: a large one takes a minute. */
const LOAD_MS = 120_000
/** How long an answer that is cancelled may take to end, in ms. */
const CANCEL_MS = 3000
const POLL_MS = 300
/** Characters of one event: a server that sends more in a line sends no events. */
const MAX_LINE = 16 * 1024 * 1024
/** How long a server that shuts down may take to hang up, in ms. */
const GOING_MS = 10_000

/** What is known of an answer, more and more of it. */
export interface Figures {
  worker?: string
  model?: string
  ttft_ms?: number
  prompt_tokens?: number
  reused_tokens?: number
  completion_tokens?: number
  tok_s?: number
  reason?: string
  /** Workers that the answer went on with when the one before was lost. */
  resumed: number
}

/** What happens in the course of an answer. */
export type Step =
  /** At that place of the queue; 0: not at all. */
  | { readonly is: 'queued'; readonly position: number }
  /** The prompt is read, so much of it (0 to 1) where that is known. */
  | { readonly is: 'prompt'; readonly share?: number }
  | { readonly is: 'text'; readonly text: string }
  /** Another worker goes on. */
  | { readonly is: 'resumed'; readonly worker: string }
  | { readonly is: 'away' }
  | { readonly is: 'back' }

export interface TurnOptions {
  readonly link: Link
  readonly session: Session
  /** As the session is to be before the message. */
  readonly wanted: Wanted
  readonly content: string
  /** The digests of the models there are, by their names. */
  readonly digests: ReadonlyMap<string, string>
  /** Ends it, at the server as well; what has come by then is kept. */
  readonly signal: AbortSignal
}

/**
 * One exchange: a message to a session's `generate`, and what comes of it. It outlives its connection: when that breaks, the
 * task is found again by its number, and read on behind what has been read; where nobody has it any more, it is asked for again
 * from the last token that came.
 * @returns the figures; their `reason` is `cancelled` if the signal has ended it
 * @throws FsError, Failure why there is no answer, or no more of it
 */
export async function* turn(o: TurnOptions): AsyncGenerator<Step, Figures> {
  const figures: Figures = { resumed: 0 }
  const progress: Progress = {
    task: undefined,
    bytes: 0,
    before: 0,
    ids: [],
    begun: false,
    prefill: false,
    held: '',
    decoder: new TextDecoder(),
  }
  for (;;) {
    let root: Fid | undefined
    try {
      root = await o.link.root(o.signal)
      yield* progress.task === undefined
        ? submitted(o, root, figures, progress)
        : foundAgain(o, root, figures, progress)
      return figures
    } catch (error) {
      const ended = o.signal.aborted && toFsError(error).is('interrupted')
      const lost = root !== undefined && (await isLost(root, error, progress, goesOn(o, figures, progress)))
      if (!ended && !lost) throw error
      // what the server has of this turn is not known any more
      o.session.stale()
      if (o.signal.aborted) return { ...figures, reason: 'cancelled' }
    }
    yield { is: 'away' }
    await o.link.root(o.signal).catch(() => {})
    yield { is: 'back' }
  }
}

/** What has come of an answer, as a request that goes on behind it; undefined where its model's tokens are not known. */
function goesOn({ digests }: TurnOptions, { model = '' }: Figures, { ids }: Progress) {
  const digest = digests.get(model)
  return ids?.length && digest ? { prefix_ids: ids, digest } : undefined
}

/** Whether it is our connection that is gone or about to go, and not something behind the server. */
async function isLost({ client }: Fid, error: unknown, progress: Progress, goes?: object): Promise<boolean> {
  const gone = client.closed.then(() => true)
  if (isAway(error)) return Promise.race([gone, sleep(50).then(() => false)])
  if (!(error instanceof FsError && error.is('shuttingDown')) || (progress.bytes > 0 && !goes)) return false
  // it had not begun, or can go on from its tokens: the next server is asked
  progress.task = undefined
  return Promise.race([gone, sleep(GOING_MS).then(() => false)])
}

interface Progress {
  task: string | undefined
  /** Of the answer's text that has come. */
  bytes: number
  /** Those of them that came before this task. */
  before: number
  /** Its tokens; undefined: some of its text came without. */
  ids: number[] | undefined
  /** Whether any text has come. */
  begun: boolean
  /** Whether the server says how far the prompt is read: then it is not asked whether it is. */
  prefill: boolean
  /** A newline that may be the last one, which is the file's. */
  held: string
  readonly decoder: InstanceType<typeof TextDecoder>
}

async function* submitted(o: TurnOptions, root: Fid, figures: Figures, progress: Progress): AsyncGenerator<Step> {
  const given = goesOn(o, figures, progress)
  if (!given) return yield* asked(o, root, figures, progress)
  progress.before = progress.bytes
  for (const end = Date.now() + LOAD_MS; ; await sleep(1000, undefined, { signal: o.signal })) {
    try {
      yield* asked(o, root, figures, progress, given)
      // the server's history has the rest of the answer only
      return o.session.stale()
    } catch (error) {
      // its workers are back before their models are
      const waits = error instanceof FsError && (error.is('noWorker') || error.is('loading'))
      if (!waits || Date.now() > end) throw error
    }
  }
}

async function* asked(
  o: TurnOptions,
  root: Fid,
  figures: Figures,
  progress: Progress,
  given: object = {},
): AsyncGenerator<Step> {
  const { session, signal } = o
  await session.ready(root, o.wanted, signal)
  const path = [...session.path, 'generate']
  const ask = (signal: AbortSignal) => root.ask(path, fid => fid.open(ORDWR, signal), signal)
  const { fid } = await promptly(root, path, signal, ask)
  const over = new AbortController()
  try {
    const request = { messages: [{ role: 'user', content: o.content }], keep_s: KEEP_S, ...given }
    await fid.write(0, Buffer.from(JSON.stringify(request)), signal)
    yield* events(o, root, fid, figures, progress, over)
  } finally {
    over.abort()
    await fid.clunk().catch(() => {})
  }
}

/** Has the server end the answer when the signal says so; one that does not end then is left alone. */
function cancelling(
  signal: AbortSignal,
  over: AbortController,
  cancel: (signal: AbortSignal) => Promise<void>,
): () => void {
  const abort = () => {
    setTimeout(() => over.abort(), CANCEL_MS).unref()
    cancel(AbortSignal.any([over.signal, timeLimit(CANCEL_MS)])).catch(() => over.abort())
  }
  if (signal.aborted) abort()
  else signal.addEventListener('abort', abort, { once: true })
  return () => signal.removeEventListener('abort', abort)
}

async function* events(
  o: TurnOptions,
  root: Fid,
  fid: Fid,
  figures: Figures,
  progress: Progress,
  over: AbortController,
): AsyncGenerator<Step> {
  const stop = cancelling(o.signal, over, signal => o.session.cancel(root, signal))
  const decoder = new TextDecoder()
  let rest = ''
  let offset = 0
  try {
    for (;;) {
      const piece = fid.read(offset, Number.MAX_SAFE_INTEGER, over.signal)
      if (!progress.begun && progress.task !== undefined) yield* beforeText(o, root, piece, progress)
      const data = await piece
      if (data.length === 0) break
      offset += data.length
      const lines = (rest + decoder.decode(data, { stream: true })).split('\n')
      rest = lines.pop()!
      if (rest.length > MAX_LINE) throw fail('badMessage', `a line of over ${MAX_LINE} characters in an answer`)
      let text = ''
      for (const line of lines) {
        const event = eventOf(line)
        if (event.event === 'token') {
          text += event.text
          if (event.ids?.length) progress.ids?.push(...event.ids)
          else progress.ids = undefined
        } else {
          if (text) yield said(text, progress)
          text = ''
          const step = noted(event, figures, progress)
          if (step) yield step
        }
      }
      if (text) yield said(text, progress)
    }
  } finally {
    stop()
  }
}

function eventOf(line: string): Record<string, any> {
  try {
    return JSON.parse(line)
  } catch {
    throw fail('badMessage', `no JSON in an answer: ${JSON.stringify(line.slice(0, 80))}`)
  }
}

function said(text: string, progress: Progress): Step {
  progress.bytes += Buffer.byteLength(text)
  progress.begun = true
  return { is: 'text', text }
}

/** What an event that is no text says. @throws FsError the answer's error */
function noted(event: Record<string, any>, figures: Figures, progress: Progress): Step | undefined {
  const { event: kind, ...attrs } = event
  if (kind === 'queued') {
    progress.task = attrs.task
    return { is: 'queued', position: attrs.position }
  }
  if (kind === 'prefill') {
    progress.prefill = true
    return { is: 'prompt', share: attrs.tokens / attrs.prompt_tokens }
  }
  if (kind === 'start' && progress.begun) return goesOnAt(attrs.worker, figures)
  if (kind === 'start' || kind === 'end') Object.assign(figures, attrs)
  if (kind === 'error') throw received(String(attrs.error))
  return kind === 'resume' ? goesOnAt(attrs.worker, figures) : undefined
}

function goesOnAt(worker: string, figures: Figures): Step {
  figures.resumed++
  figures.worker = worker
  return { is: 'resumed', worker }
}

/** Until the first text comes: looks now and then whether the prompt is being read by now. */
async function* beforeText(
  o: TurnOptions,
  root: Fid,
  piece: Promise<unknown>,
  progress: Progress,
): AsyncGenerator<Step> {
  const came = piece.then(
    () => true,
    () => true,
  )
  while (!(await Promise.race([came, sleep(POLL_MS, false)]))) {
    const base = o.session.path.slice(0, -2)
    const text = await readText(root, [...base, 'task', progress.task!, 'status'], o.signal).catch(() => '')
    const state = parseRecords(text)[0]?.attrs.state
    if (state === 'prefill' && !progress.prefill) yield { is: 'prompt' }
  }
}

/** The same task over another connection, at a server that may have been started anew: its answer, from where we were. */
async function* foundAgain(o: TurnOptions, root: Fid, figures: Figures, progress: Progress): AsyncGenerator<Step> {
  const base = [...o.session.path.slice(0, -2), 'task', progress.task!]
  const over = new AbortController()
  if (!(await appears(root, base, o.signal))) {
    if (progress.bytes > 0 && !goesOn(o, figures, progress))
      throw new Failure(exitCode.failed, `the server is back, and has not this answer any more (task ${progress.task})`)
    progress.task = undefined
    return yield* submitted(o, root, figures, progress)
  }
  const stop = cancelling(o.signal, over, signal => cancelTask(root, base, signal))
  try {
    const fid = await root.walk([...base, 'answer'], over.signal)
    try {
      await fid.open(OREAD, over.signal)
      for (;;) {
        const data = await fid.read(progress.bytes - progress.before, Number.MAX_SAFE_INTEGER, over.signal)
        if (data.length === 0) break
        progress.bytes += data.length
        progress.ids = undefined
        const text = progress.held + progress.decoder.decode(data, { stream: true })
        progress.held = text.endsWith('\n') ? '\n' : ''
        if (text !== progress.held) yield { is: 'text', text: progress.held ? text.slice(0, -1) : text }
      }
    } finally {
      await fid.clunk().catch(() => {})
    }
  } catch (error) {
    if (!(error instanceof FsError && error.is('cancelled'))) throw error
  } finally {
    stop()
  }
  const { worker, ...attrs } =
    parseRecords(await readText(root, [...base, 'status'], timeLimit(CANCEL_MS)))[0]?.attrs ?? {}
  if (worker) figures.worker = worker
  // the times are not: they count from when the server was started anew
  for (const name of ['prompt_tokens', 'reused_tokens', 'completion_tokens'] as const)
    if (attrs[name] !== undefined) figures[name] = Number(attrs[name])
  figures.reason = attrs.state === 'cancelled' ? 'cancelled' : (attrs.reason ?? 'stop')
}

const cancelTask = (root: Fid, task: readonly string[], signal: AbortSignal): Promise<void> =>
  withFile(
    root,
    [...task, 'ctl'],
    OWRITE,
    signal,
    async fid => void (await fid.write(0, Buffer.from('cancel\n'), signal)),
  )

/** Waits until a server that was started anew has the task back from the worker that goes on with it. @returns whether it has */
async function appears(root: Fid, path: readonly string[], signal: AbortSignal): Promise<boolean> {
  for (const end = Date.now() + FIND_MS; Date.now() < end; await sleep(200, undefined, { signal })) {
    try {
      await (await root.walk(path, signal)).clunk()
      return true
    } catch (error) {
      if (!(error instanceof FsError && error.isMissing)) throw error
    }
  }
  return false
}
