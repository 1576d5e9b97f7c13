/** The streams of commands: sources, sinks and pipes. */

/** How many bytes a pipe holds for a slow reader: the same as a Linux pipe. */
const MAX_HELD = 64 * 1024

/** What a command reads from. */
export interface Source {
  /** Returns what is there, or waits until something comes; empty at the end. @throws the signal's reason */
  read(signal: AbortSignal): Promise<Uint8Array>
  /** Says that nobody reads this source any more. */
  close(): void
  /** Whether this is the process's own standard input, which a host command gets as it is. */
  readonly inherited?: boolean
}

/** What a command writes to. */
export interface Sink {
  /** Resolves when there is room for more. @throws BrokenPipe when nobody reads any more, or the signal's reason */
  write(data: Uint8Array, signal: AbortSignal): Promise<void>
  /** The columns of the terminal; undefined if this is not a terminal. */
  readonly columns?: number | undefined
  /** Aborts when nobody reads any more, so that a writer that has nothing to write yet can stop. */
  readonly gone?: AbortSignal | undefined
  /** Which of the process's own streams this is, if any; a host command gets it as it is. */
  readonly own?: 1 | 2
}

/** The reader has closed the pipe. This is not a failure of the writer. */
export class BrokenPipe extends Error {
  constructor() {
    super('broken pipe')
  }
}

export const nothing = new Uint8Array(0)

/** A source that is at its end. */
export const empty: Source = { read: async () => nothing, close: () => undefined }

/** Returns data to a source that was read too far: the next read delivers it. */
export function putBack(source: Source, data: Uint8Array): void {
  const own = source as { read: Source['read'] }
  const { read } = own
  own.read = async () => {
    own.read = read
    return data
  }
}

/** A bounded pipe between two commands. */
export class Pipe implements Source, Sink {
  #held: Uint8Array[] = []
  #bytes = 0
  #ended = false
  #wake: (() => void)[] = []
  readonly #gone = new AbortController()

  get gone(): AbortSignal {
    return this.#gone.signal
  }

  async write(data: Uint8Array, signal: AbortSignal): Promise<void> {
    if (this.gone.aborted) throw new BrokenPipe()
    if (data.length === 0) return
    this.#held.push(data)
    this.#bytes += data.length
    this.#awake()
    while (this.#bytes > MAX_HELD) {
      await this.#changed(signal)
      if (this.gone.aborted) throw new BrokenPipe()
    }
  }

  async read(signal: AbortSignal): Promise<Uint8Array> {
    while (this.#held.length === 0) {
      if (this.#ended || this.gone.aborted) return nothing
      await this.#changed(signal)
    }
    const data = this.#held.length === 1 ? this.#held[0]! : Buffer.concat(this.#held)
    this.#held = []
    this.#bytes = 0
    this.#awake()
    return data
  }

  /** Says that the writer is done. Readers get what is still held, then the end. */
  end(): void {
    this.#ended = true
    this.#awake()
  }

  close(): void {
    this.#held = []
    this.#gone.abort(new BrokenPipe())
    this.#awake()
  }

  #awake(): void {
    const wake = this.#wake
    this.#wake = []
    for (const one of wake) one()
  }

  #changed(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason)
      const abort = () => reject(signal.reason)
      signal.addEventListener('abort', abort, { once: true })
      this.#wake.push(() => {
        signal.removeEventListener('abort', abort)
        resolve()
      })
    })
  }
}

/** Collects what is written. @throws Error beyond `most` bytes */
export class Capture implements Sink {
  readonly #parts: Uint8Array[] = []
  #bytes = 0

  /** @param columns of the terminal on which the text is shown in the end */
  constructor(
    readonly most: number,
    readonly columns?: number,
  ) {}

  async write(data: Uint8Array): Promise<void> {
    this.#bytes += data.length
    if (this.#bytes > this.most) throw new Error(`too much output to keep; at most ${this.most} bytes`)
    this.#parts.push(data.slice())
  }

  get text(): string {
    return Buffer.concat(this.#parts).toString('utf8')
  }
}

/** Passes on whole lines, each with a prefix. The last line gets a newline if it has none. */
export class Prefixed implements Sink {
  #rest = ''
  readonly #decoder = new TextDecoder()

  constructor(
    readonly prefix: string,
    readonly to: Sink,
  ) {}

  get gone(): AbortSignal | undefined {
    return this.to.gone
  }

  async write(data: Uint8Array, signal: AbortSignal): Promise<void> {
    const lines = (this.#rest + this.#decoder.decode(data, { stream: true })).split('\n')
    this.#rest = lines.pop()!
    // a line that does not end is cut, not kept
    if (this.#rest.length > MAX_HELD) lines.push(this.#rest)
    if (this.#rest.length > MAX_HELD) this.#rest = ''
    await this.#put(lines, signal)
  }

  async end(signal: AbortSignal): Promise<void> {
    const rest = this.#rest + this.#decoder.decode()
    this.#rest = ''
    if (rest !== '') await this.#put([rest], signal)
  }

  async #put(lines: readonly string[], signal: AbortSignal): Promise<void> {
    if (lines.length > 0)
      await this.to.write(Buffer.from(lines.map(line => `${this.prefix}${line}\n`).join('')), signal)
  }
}

/** The lines of a source, up to its end. */
export async function* lines(source: Source, signal: AbortSignal): AsyncGenerator<string> {
  const decoder = new TextDecoder()
  let rest = ''
  for (;;) {
    const data = await source.read(signal)
    const text = data.length > 0 ? decoder.decode(data, { stream: true }) : decoder.decode()
    const parts = (rest + text).split('\n')
    rest = parts.pop()!
    yield* parts
    if (data.length === 0) break
  }
  if (rest !== '') yield rest
}
