/** One turn of a session: sends the message, reads the answer's events, and continues after a lost connection. */
import { setTimeout as sleep } from 'node:timers/promises'
import { type AnswerEvent, AnswerReader } from '../api/answer.js'
import { FsError, received, toFsError } from '../api/errors.js'
import { type RequestBody, requestText } from '../api/request.js'
import { taskStatus } from '../api/task.js'
import { exitCode, Failure } from '../cli/exit.js'
import { promptly, readText, withFile } from '../cli/files.js'
import { timeLimit } from '../fs/base/clock.js'
import type { Fid } from '../fs/client/client.js'
import { ORDWR, OREAD, OWRITE } from '../fs/wire/protocol.js'
import { isAway, type Link } from './link.js'
import type { RemoteSession, Wanted } from './remote-session.js'

/** How long the server keeps an answer whose connection broke, in s. */
const KEEP_S = 60
/** How long to look for the answer at a restarted server, in ms: its workers must connect to it first. */
const FIND_MS = 10_000
/** How long the model that began an answer may take to be loaded again, in ms: a large one takes a minute. */
const LOAD_MS = 120_000
/** How long a cancelled answer may take to end, in ms. */
const CANCEL_MS = 3000
/** How often the task's status is read until the first text arrives, in ms. */
const POLL_MS = 300
/** How long a server that shuts down may take to hang up, in ms. */
const GOING_MS = 10_000

/** The figures of an answer, filled in as its events arrive. */
export interface Figures {
  worker?: string
  model?: string
  ttft_ms?: number
  prompt_tokens?: number
  reused_tokens?: number
  completion_tokens?: number
  tok_s?: number
  reason?: string
  /** How many times another worker continued the answer after the one before was lost. */
  resumed: number
}

/** An event of a turn. */
export type Step =
  /** The request is at this position of the queue; 0: it starts at once. */
  | { readonly is: 'queued'; readonly position: number }
  /** The prompt is being read; `share` is the part read so far (0 to 1), if known. */
  | { readonly is: 'prompt'; readonly share?: number }
  | { readonly is: 'text'; readonly text: string }
  /** Another worker continues the answer. */
  | { readonly is: 'resumed'; readonly worker: string }
  | { readonly is: 'away' }
  | { readonly is: 'back' }

export interface TurnOptions {
  readonly link: Link
  readonly session: RemoteSession
  /** The settings and history that the session must have before the message. */
  readonly wanted: Wanted
  readonly content: string
  /** The digests of the available models, by name. */
  readonly digests: ReadonlyMap<string, string>
  /** Ends the turn, at the server as well; the text that arrived before that counts. */
  readonly signal: AbortSignal
}

/**
 * Writes a message to a session's `generate` and yields what happens. The turn survives a lost connection: it finds the
 * task again by its number and reads on after the bytes that it has. If the server no longer has the task, the request
 * is sent again, to be continued after the last token received.
 * @returns the figures; their `reason` is `cancelled` if the signal ended the turn
 * @throws FsError, Failure with the reason why there is no answer, or only part of one
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
      // it is not known how much of this turn the server's history has
      o.session.stale()
      if (o.signal.aborted) return { ...figures, reason: 'cancelled' }
    }
    yield { is: 'away' }
    await o.link.root(o.signal).catch(() => {})
    yield { is: 'back' }
  }
}

/**
 * The fields of a request that continue the answer after the text received so far; undefined if the token ids or the
 * model's digest are not known.
 */
function goesOn({ digests }: TurnOptions, { model = '' }: Figures, { ids }: Progress) {
  const digest = digests.get(model)
  return ids?.length && digest ? { prefix_ids: ids, digest } : undefined
}

/** Whether our own connection is lost or about to be, rather than something behind the server. */
async function isLost({ client }: Fid, error: unknown, progress: Progress, goes?: object): Promise<boolean> {
  const gone = client.closed.then(() => true)
  if (isAway(error)) return Promise.race([gone, sleep(50).then(() => false)])
  if (!(error instanceof FsError && error.is('shuttingDown')) || (progress.bytes > 0 && !goes)) return false
  // the answer had not begun, or can be continued from its tokens: the request is sent again to the next server
  progress.task = undefined
  return Promise.race([gone, sleep(GOING_MS).then(() => false)])
}

interface Progress {
  task: string | undefined
  /** Bytes of the answer's text received so far. */
  bytes: number
  /** Those of `bytes` that were received before the current task. */
  before: number
  /** The token ids received so far; undefined if some of the text came without ids. */
  ids: number[] | undefined
  /** Whether any text has been received. */
  begun: boolean
  /** Whether the server reports how much of the prompt is read; the status is not needed for that then. */
  prefill: boolean
  /**
   * A newline at the end of the text so far, held back: the last one ends the file `answer` and is not part of the
   * text.
   */
  held: string
  readonly decoder: InstanceType<typeof TextDecoder>
}

/** Sends the request, to be continued after the text received so far if possible, and reads its events. */
async function* submitted(o: TurnOptions, root: Fid, figures: Figures, progress: Progress): AsyncGenerator<Step> {
  const given = goesOn(o, figures, progress)
  if (!given) return yield* asked(o, root, figures, progress)
  progress.before = progress.bytes
  for (const end = Date.now() + LOAD_MS; ; await sleep(1000, undefined, { signal: o.signal })) {
    try {
      yield* asked(o, root, figures, progress, given)
      // the server's history has only the rest of the answer, so it must be written again
      return o.session.stale()
    } catch (error) {
      // the workers of a restarted server are back before their models are loaded
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
  given: RequestBody = {},
): AsyncGenerator<Step> {
  const { session, signal } = o
  await session.ready(root, o.wanted, signal)
  const path = [...session.path, 'generate']
  const ask = (signal: AbortSignal) => root.ask(path, fid => fid.open(ORDWR, signal), signal)
  const { fid } = await promptly(root, path, signal, ask)
  const over = new AbortController()
  try {
    const request = requestText({ messages: [{ role: 'user', content: o.content }], keep_s: KEEP_S, ...given })
    await fid.write(0, Buffer.from(request), signal)
    yield* events(o, root, fid, figures, progress, over)
  } finally {
    over.abort()
    await fid.clunk().catch(() => {})
  }
}

/**
 * Cancels the answer at the server when the signal aborts. If it does not end within CANCEL_MS, `over` is aborted and
 * the answer is abandoned.
 * @returns a function that stops listening to the signal
 */
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
  const reader = new AnswerReader('server')
  let offset = 0
  try {
    for (;;) {
      const piece = fid.read(offset, Number.MAX_SAFE_INTEGER, over.signal)
      if (!progress.begun && progress.task !== undefined) yield* beforeText(o, root, piece, progress)
      const data = await piece
      if (data.length === 0) break
      offset += data.length
      let text = ''
      for (const event of reader.take(data)) {
        if (event.event === 'token') {
          text += event.text
          if (event.ids.length === 0) progress.ids = undefined
          for (const id of event.ids) progress.ids?.push(id)
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

function said(text: string, progress: Progress): Step {
  progress.bytes += Buffer.byteLength(text)
  progress.begun = true
  return { is: 'text', text }
}

/** Notes an event other than a token. @returns the step to yield, if any @throws FsError the answer's error */
function noted(event: AnswerEvent, figures: Figures, progress: Progress): Step | undefined {
  switch (event.event) {
    case 'queued':
      progress.task = event.task
      return { is: 'queued', position: event.position ?? 0 }
    case 'prefill':
      progress.prefill = true
      return { is: 'prompt', ...(event.prompt_tokens && { share: (event.tokens ?? 0) / event.prompt_tokens }) }
    case 'start':
    case 'end': {
      if (event.event === 'start' && progress.begun) return goesOnAt(event.worker, figures)
      const { event: _, ...attrs } = event
      Object.assign(figures, attrs)
      return undefined
    }
    case 'resume':
      return goesOnAt(event.worker, figures)
    case 'error':
      throw received(event.error)
    default:
      return undefined
  }
}

function goesOnAt(worker = '', figures: Figures): Step {
  figures.resumed++
  figures.worker = worker
  return { is: 'resumed', worker }
}

/** Until the next piece arrives: reads the task's status every POLL_MS, to see whether the prompt is being read. */
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
    const path = [...base, 'task', progress.task!, 'status']
    const state = await readText(root, path, o.signal).then(
      text => taskStatus.read(text).task.state,
      () => '',
    )
    if (state === 'prefill' && !progress.prefill) yield { is: 'prompt' }
  }
}

/**
 * Reads the rest of the answer of the same task over another connection, from a server that may have been restarted.
 */
async function* foundAgain(o: TurnOptions, root: Fid, figures: Figures, progress: Progress): AsyncGenerator<Step> {
  const base = [...o.session.path.slice(0, -2), 'task', progress.task!]
  const over = new AbortController()
  if (!(await appears(root, base, o.signal))) {
    if (progress.bytes > 0 && !goesOn(o, figures, progress))
      throw new Failure(exitCode.failed, `the server restarted and no longer has this answer (task ${progress.task})`)
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
  const { worker, ...task } = taskStatus.read(await readText(root, [...base, 'status'], timeLimit(CANCEL_MS))).task
  if (worker) figures.worker = worker
  // the times are not taken: they count from the restart of the server
  for (const name of ['prompt_tokens', 'reused_tokens', 'completion_tokens'] as const)
    if (task[name] !== undefined) figures[name] = task[name]
  figures.reason = task.state === 'cancelled' ? 'cancelled' : (task.reason ?? 'stop')
}

const cancelTask = (root: Fid, task: readonly string[], signal: AbortSignal): Promise<void> =>
  withFile(
    root,
    [...task, 'ctl'],
    OWRITE,
    signal,
    async fid => void (await fid.write(0, Buffer.from('cancel\n'), signal)),
  )

/** Waits until a restarted server has the task back from the worker that continues it. @returns whether it has */
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
