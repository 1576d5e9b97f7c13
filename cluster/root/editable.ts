import { fail } from '../../fs/errors.js'
import { type File, newQid, type Opened, type Owner } from '../../fs/file.js'
import { Made, now } from '../../fs/kit/content.js'
import { OTRUNC } from '../../fs/protocol.js'

/** Takes what is written through one open: text as it comes, cut anywhere; `done` at each sync and at the close. */
export interface Writer {
  take(piece: string): void
  /** Bytes that it keeps of what it has taken. */
  readonly held: number
  done(): void
}

/** A writer that is given whole lines, the last one with or without its newline. */
export function byLine(line: (text: string) => void): Writer {
  const rest = new Pieces()
  const give = (text: string) => text.trim() && line(text)
  return {
    take(piece) {
      const end = piece.indexOf('\n')
      // a line that comes in many pieces is put together once
      if (end < 0) return rest.add(piece)
      rest.add(piece.slice(0, end))
      give(rest.take())
      const lines = piece.slice(end + 1).split('\n')
      rest.add(lines.pop()!)
      for (const text of lines) give(text)
    },
    get held() {
      return rest.held
    },
    done() {
      give(rest.take())
    },
  }
}

/** What a piece of text is counted with besides its characters. */
const PIECE_BYTES = 48

/** Pieces of a text that is put together when it is wanted. */
export class Pieces {
  #pieces: string[] = []
  #held = 0

  add(piece: string): void {
    if (piece === '') return
    this.#pieces.push(piece)
    this.#held += PIECE_BYTES + 2 * piece.length
  }

  /** Bytes of memory that they take. */
  get held(): number {
    return this.#held
  }

  /** The whole text; it is not kept any more. */
  take(): string {
    const all = this.#pieces.join('')
    this.#pieces = []
    this.#held = 0
    return all
  }
}

export interface EditableOptions {
  owner: Owner
  /** Bytes one open may write. */
  limit: number
  /** Throws where it may not be changed now. */
  check(): void
  read(): string
  /** Truncation. */
  clear(): void
  writer(): Writer
  onOpen(): () => void
  /** What was written, or that it was emptied, has taken effect. */
  changed(): void
}

/** A file of UTF-8 text that its owner reads and writes, but not while `check` throws. */
export function editable(o: EditableOptions): File {
  const qid = newQid()
  const encoder = new TextEncoder()
  const made = new Made(() => encoder.encode(o.read()))
  const truncate = () => {
    o.check()
    o.clear()
    o.changed()
  }
  return {
    qid,
    attributes: () => ({ mode: 0o600, owner: o.owner, length: 0, mtime: now(), atime: now() }),
    extent: ctx => made.extent(ctx),
    truncate,
    open(mode): Opened {
      if (mode & OTRUNC) truncate()
      const release = o.onOpen()
      const decoder = new TextDecoder('utf-8', { fatal: true })
      const into = o.writer()
      const decode = (data: Uint8Array) => {
        try {
          return decoder.decode(data, { stream: true })
        } catch {
          throw fail('notUtf8')
        }
      }
      let size = 0
      /** Whether anything came since the last sync. */
      let dirty = false
      /** A write that failed: what follows it would be put together wrongly. */
      let failed: Error | undefined
      const finish = () => {
        if (!dirty || failed) return
        o.check()
        dirty = false
        into.done()
        o.changed()
      }
      return {
        ...made.open(mode),
        write(_offset, data, ctx) {
          o.check()
          if (failed) throw failed
          try {
            if ((size += data.length) > o.limit) throw fail('tooLarge', `over ${o.limit} bytes`)
            ctx.holding?.grow(PIECE_BYTES + 2 * data.length)
            const before = into.held
            into.take(decode(data))
            // what it has done with, it does not keep
            ctx.holding?.shrink(PIECE_BYTES + 2 * data.length + before - into.held)
          } catch (error) {
            failed = error as Error
            throw error
          }
          dirty = true
          return data.length
        },
        sync: finish,
        close() {
          release()
          finish()
        },
      }
    },
  }
}
