/** Opens the files of a command's redirections. */

import { fail } from '../api/errors.js'
import { ORDWR, OREAD, QTDIR } from '../fs/wire/protocol.js'
import type { Redirect } from './ast.js'
import { ShellError } from './failure.js'
import { BrokenPipe, nothing, type Sink, type Source } from './pipe.js'
import type { Io, State } from './state.js'
import { FileSink, named, open, openToWrite } from './tree.js'

/** A file that is read as its content arrives. */
class FileSource implements Source {
  constructor(
    readonly read: Source['read'],
    readonly close: () => void,
  ) {}
}

/** A command's streams after its redirections. */
export interface Redirected {
  readonly io: Io
  /** Closes the files. @throws ShellError if a file is found to be wrong now that it is complete */
  end(): Promise<void>
}

/**
 * Opens the files of redirections, from left to right.
 * @param name returns the path of a redirection, or the text itself for `<<`
 */
export async function redirect(
  redirects: readonly Redirect[],
  io: Io,
  state: State,
  name: (redirect: Redirect) => Promise<string>,
): Promise<Redirected> {
  const { signal } = io
  let stdin = io.stdin
  const outs: [Sink, Sink] = [io.stdout, io.stderr]
  const ends: (() => Promise<void>)[] = []
  const end = async () => {
    let failed: unknown
    for (const one of ends) await one().catch(error => void (failed ??= error))
    if (failed) throw failed
  }
  try {
    for (const one of redirects) {
      if (typeof one.to === 'number') {
        if (one.fd === 0 || one.to === 0) {
          // >[1=0]: output goes to the file that is open for both as 0
          const both = stdin as Source & Partial<Pick<Sink, 'write'>>
          if (one.to !== 0 || one.fd === 0 || !both.write)
            throw new ShellError(`>[${one.fd}=${one.to}]: 0 is not open for writing; open it with <>`)
          outs[one.fd - 1] = stdin as unknown as Sink
        } else outs[one.fd - 1] = outs[one.to - 1]!
        continue
      }
      if (one.kind === '<<') {
        stdin = given(await name(one))
        continue
      }
      const path = state.path(await name(one))
      if (one.kind === '<' || one.kind === '<>') {
        if (one.fd !== 0) throw new ShellError(`${one.kind}[${one.fd}]: only descriptor 0 can be read`)
        const file = await (one.kind === '<' ? reading(state, path, signal) : both(state, path, signal))
        stdin = file
        ends.push(async () => file.close())
      } else {
        if (one.fd === 0) throw new ShellError(`${one.kind}[0]: descriptor 0 is for reading; use < or <>`)
        const { fid, offset } = await openToWrite(state, path, signal, one.kind === '>>')
        const sink = new FileSink(state, path, fid, offset)
        outs[one.fd - 1] = sink
        ends.push(() => sink.end(signal))
      }
    }
  } catch (error) {
    await end().catch(() => undefined)
    throw error
  }
  return { io: { ...io, stdin, stdout: outs[0], stderr: outs[1] }, end }
}

/** A here document as a source. */
function given(text: string): Source {
  let rest: Uint8Array = Buffer.from(text)
  return {
    read: async () => {
      const data = rest
      rest = nothing
      return data
    },
    close: () => {
      rest = nothing
    },
  }
}

async function reading(state: State, path: string, signal: AbortSignal): Promise<Source> {
  const fid = await open(state, path, OREAD, signal)
  if (fid.qid.type & QTDIR) {
    fid.drop()
    return named(state, path, signal, () => Promise.reject(fail('isDirectory')))
  }
  let offset = 0
  let closed = false
  return new FileSource(
    signal =>
      named(state, path, signal, async () => {
        if (closed) return nothing
        const data = await fid.read(offset, Number.MAX_SAFE_INTEGER, signal)
        offset += data.length
        return data
      }),
    () => {
      if (!closed) fid.drop()
      closed = true
    },
  )
}

/** `<>`: one open file that is read and written, each at its own offset, as an exchange on one descriptor needs. */
async function both(state: State, path: string, signal: AbortSignal): Promise<Source & Sink> {
  const fid = await open(state, path, ORDWR, signal)
  let read = 0
  let written = 0
  let closed = false
  return {
    read: signal =>
      named(state, path, signal, async () => {
        if (closed) return nothing
        const data = await fid.read(read, Number.MAX_SAFE_INTEGER, signal)
        read += data.length
        return data
      }),
    write: (data, signal) =>
      named(state, path, signal, async () => {
        if (closed) throw new BrokenPipe()
        written += await fid.write(written, data, signal)
      }),
    close: () => {
      if (!closed) fid.drop()
      closed = true
    },
  }
}
