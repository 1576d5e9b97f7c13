/** Files to which a prompt is written and from which its answer is read. */
import { isUtf8 } from 'node:buffer'
import { fail } from '../../api/errors.js'
import { andThen, type MaybePromise } from '../../fs/base/maybe-promise.js'
import { type Context, type File, newQid, type Opened, type Owner } from '../../fs/file.js'
import type { AppendLog } from '../../fs/kit/append-log.js'
import { Blocks } from '../../fs/kit/blocks.js'
import { now } from '../../fs/kit/content.js'

/** A prompt that was submitted, with its answer. */
export interface Exchange {
  readonly answer: AppendLog
  /** Called when the fid that submitted the prompt by reading is closed before it has read all of the answer. */
  abandon(): void
}

/** The options of `exchange`: how prompts are accepted and submitted. */
export interface ExchangeOptions {
  owner: Owner
  /** Permission bits; 0666 by default. */
  mode?: number
  /** The longest prompt, in bytes. */
  limit: number
  /** Called at each write, to refuse early a prompt that could not be accepted; throws to refuse it. */
  accept?(ctx: Context): void
  /** Submits a prompt. Never throws: a refusal is an exchange whose answer has failed. */
  submit(prompt: string, ctx: Context): Exchange
  /**
   * Called when a write failed with `error`, or the prompt proved invalid at its submission: the user's newest exchange
   * is then that failure.
   */
  refused(error: Error, ctx: Context): void
  /** The newest exchange that this user submitted through this file. */
  newest(ctx: Context): Exchange | undefined
  /** Called at each open; the function that it returns is called at the close. */
  onOpen?: () => () => void
}

const nothing = new Uint8Array(0)
const newDecoder = () => new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * A file that follows the rule of `data` (docs/files.md#data): writes to a fid collect a prompt, which is submitted at
 * the clunk or at the first read on the same fid; that fid then reads its answer. A fid that has not written reads the
 * user's newest answer.
 */
export function exchange(options: ExchangeOptions): File {
  const qid = newQid()
  const { owner, mode = 0o666 } = options
  return {
    qid,
    attributes: () => ({ mode, owner, length: 0, mtime: now(), atime: now() }),
    open: (_mode, ctx) => new OpenExchange(options, ctx, options.onOpen?.()),
  }
}

class OpenExchange implements Opened {
  readonly stream = true
  #prompt: Blocks | undefined
  /** Checks that the prompt is UTF-8 as it arrives, from the first write on that ends within a character. */
  #decoder: ReturnType<typeof newDecoder> | undefined
  #state: 'new' | 'writing' | 'bound' = 'new'
  /** The error of a failed write: nothing is submitted after it. */
  #failed: Error | undefined
  #exchange: Exchange | undefined
  #release: (() => void) | undefined
  /** Whether a read on this fid submitted the exchange. */
  #mine = false
  /** How far the answer has been read, in bytes. */
  #read = 0
  /** The offset of the first read, at which the answer begins; undefined until then. */
  #base: number | undefined

  constructor(
    readonly options: ExchangeOptions,
    readonly opener: Context,
    readonly onClose: (() => void) | undefined,
  ) {}

  write(_offset: number, data: Uint8Array, ctx: Context): number {
    if (this.#failed) throw this.#failed
    if (this.#state === 'bound') {
      if (this.#exchange?.answer.open) throw fail('fidInUse', 'the previous answer is still being generated')
      this.#restart()
    }
    this.#state = 'writing'
    try {
      this.options.accept?.(ctx)
      this.#prompt ??= new Blocks(ctx.holding)
      if (this.#prompt.length + data.length > this.options.limit)
        throw fail('tooLong', `over ${this.options.limit} bytes`)
      this.#check(data)
      this.#prompt.append(data)
    } catch (error) {
      this.#failed = error as Error
      this.#prompt?.clear()
      this.options.refused(error as Error, ctx)
      throw error
    }
    return data.length
  }

  read(offset: number, count: number, ctx: Context): MaybePromise<Uint8Array> {
    if (this.#failed) throw this.#failed
    if (this.#state !== 'bound') {
      if (this.#state === 'writing') {
        this.#submit('read', ctx)
        this.#base = offset
      } else {
        this.#bind(this.options.newest(ctx))
        this.#base = 0
      }
      this.#state = 'bound'
    }
    this.#base ??= offset
    if (!this.#exchange) return nothing
    const at = Math.max(0, offset - this.#base)
    return andThen(this.#exchange.answer.read(at, count, ctx), piece => {
      this.#read = Math.max(this.#read, at + piece.length)
      return piece
    })
  }

  close(): void {
    if (this.#state === 'writing' && !this.#failed) this.#submit('close', this.opener)
    else if (this.#mine && this.#exchange && this.#unread(this.#exchange)) this.#exchange.abandon()
    this.#release?.()
    this.onClose?.()
  }

  #unread({ answer }: Exchange): boolean {
    return answer.open || this.#read < answer.length
  }

  #submit(by: 'read' | 'close', ctx: Context): void {
    let prompt: string
    try {
      this.#checkEnd()
      prompt = this.#prompt?.text() ?? ''
      // the answer to an earlier prompt must not be taken for the answer to this one
      if (this.#prompt && this.#prompt.length > 0 && prompt.trim() === '')
        throw fail('badArgument', 'the prompt is empty; write some text')
    } catch (error) {
      this.#failed = error as Error
      this.options.refused(error as Error, ctx)
      if (by === 'read') throw error
      return
    }
    const empty = !this.#prompt || this.#prompt.length === 0
    // free the prompt before submitting it: it is counted there
    this.#prompt?.clear()
    if (empty) return
    this.#bind(this.options.submit(prompt, ctx))
    this.#mine = by === 'read'
  }

  #bind(exchange: Exchange | undefined): void {
    this.#release?.()
    this.#exchange = exchange
    this.#release = exchange?.answer.keep()
  }

  /** @throws FsError `prompt is not UTF-8` */
  #check(data: Uint8Array): void {
    // a decoder costs more than the rest of a short prompt
    if (!this.#decoder && isUtf8(data)) return
    try {
      this.#decoder ??= newDecoder()
      this.#decoder.decode(data, { stream: true })
    } catch {
      throw fail('notUtf8')
    }
  }

  /** @throws FsError `prompt is not UTF-8` if a character is cut off */
  #checkEnd(): void {
    try {
      this.#decoder?.decode()
    } catch {
      throw fail('notUtf8')
    }
  }

  #restart(): void {
    this.#prompt = undefined
    this.#bind(undefined)
    this.#mine = false
    this.#read = 0
    this.#base = undefined
    this.#decoder = undefined
  }
}
