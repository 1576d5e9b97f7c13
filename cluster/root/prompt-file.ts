/** Files that work like `data` and remember the newest exchange of each user. */
import type { Context, File } from '../../fs/file.js'
import { AppendLog } from '../../fs/kit/append-log.js'
import { type Exchange, type ExchangeOptions, exchange } from './exchange.js'
import { UserMap } from './user-map.js'

interface PromptFileOptions extends Omit<ExchangeOptions, 'submit' | 'refused' | 'newest'> {
  /** Starts an exchange. @throws the error that the reader of the answer gets */
  begin(prompt: string, ctx: Context): Exchange
  /** Called with each error that a prompt is refused with. */
  failed(error: Error, ctx: Context): void
}

/**
 * A file like `data`. The newest exchange of each user is kept until there is a newer one, so that a fid that has not
 * written can read its answer. A refused prompt is an exchange, too: its answer fails with the error.
 */
export class PromptFile {
  readonly file: File
  readonly #o: PromptFileOptions
  readonly #newest = new UserMap<{ exchange: Exchange; release(): void }>(({ release }) => release())
  #ended = false

  constructor(o: PromptFileOptions) {
    this.#o = o
    this.file = exchange({
      ...o,
      submit: (prompt, ctx) => this.submit(prompt, ctx),
      refused: (error, ctx) => this.#refuse(error, ctx),
      newest: ({ user }) => this.#newest.get(user)?.exchange,
    })
  }

  /** Submits a prompt as a write to the file does. Never throws. */
  submit(prompt: string, ctx: Context): Exchange {
    try {
      return this.#remember(this.#o.begin(prompt, ctx), ctx)
    } catch (error) {
      return this.#refuse(error as Error, ctx)
    }
  }

  /** Keeps no exchange any more: the file is gone. A reader that has an answer open can still read it. */
  end(): void {
    this.#ended = true
    for (const { release } of this.#newest.values()) release()
  }

  #refuse(error: Error, ctx: Context): Exchange {
    this.#o.failed(error, ctx)
    const answer = new AppendLog()
    answer.end(error)
    return this.#remember({ answer, abandon: () => undefined }, ctx)
  }

  #remember(exchange: Exchange, { user }: Context): Exchange {
    const release = exchange.answer.keep()
    this.#newest.set(user, { exchange, release })
    if (this.#ended) release()
    return exchange
  }
}
