/** A text file that its owner can edit: what is written takes effect when the file is closed or synced. */
import { fail } from '../base/errors.js'
import { type File, newQid, type Opened, type Owner } from '../file.js'
import { OTRUNC } from '../wire/protocol.js'
import { Made, now } from './content.js'

/**
 * Receives what is written through one open: `take` gets the text as it comes, cut anywhere; `done` is called at each
 * sync and at the close.
 */
export interface Writer {
  take(piece: string): void
  /** Bytes of the received text that it still keeps. */
  readonly held: number
  done(): void
}

/** Makes a writer that calls `line` with whole lines; the last one may lack its newline. */
export function byLine(line: (text: string) => void): Writer {
  const rest = new Pieces()
  const give = (text: string) => text.trim() && line(text)
  return {
    take(piece) {
      const end = piece.indexOf('\n')
      // a line that comes in many pieces is joined only once
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

/** Overhead of a piece of text in bytes, besides its characters. */
const PIECE_BYTES = 48

/** Collects pieces of a text and joins them when it is needed. */
export class Pieces {
  #pieces: string[] = []
  #held = 0

  add(piece: string): void {
    if (piece === '') return
    this.#pieces.push(piece)
    this.#held += PIECE_BYTES + 2 * piece.length
  }

  /** Bytes of memory that the pieces take. */
  get held(): number {
    return this.#held
  }

  /** Returns the whole text and forgets it. */
  take(): string {
    const all = this.#pieces.join('')
    this.#pieces = []
    this.#held = 0
    return all
  }
}

export interface EditableOptions {
  owner: Owner
  /** Most bytes that one open may write. */
  limit: number
  /** Throws if the file may not be changed now. */
  check(): void
  read(): string
  /** Called when the file is truncated. */
  clear(): void
  writer(): Writer
  onOpen(): () => void
  /** Called when a write or a truncation has taken effect. */
  changed(): void
}

/** Makes a file of UTF-8 text that its owner can read, and can write unless `check` throws. */
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
          throw fail('notText')
        }
      }
      let size = 0
      /** Whether anything was written since the last sync. */
      let dirty = false
      /** The error of a failed write. Later writes fail with it too: their text would be joined to the wrong text. */
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
            // the writer keeps only what it has not processed yet
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
