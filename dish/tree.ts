/** Operations on files of the name space. Their errors say which file it was and which server answers for it. */

import { FsError, fail } from '../api/errors.js'
import { codeOf } from '../cli/exit.js'
import { isDirectory } from '../cli/listing.js'
import { systemClock } from '../fs/base/clock.js'
import { within } from '../fs/base/interruptible.js'
import { ANSWER_MS } from '../fs/base/limits.js'
import { namesOf } from '../fs/base/path.js'
import type { Fid } from '../fs/client/client.js'
import { OREAD, OTRUNC, OWRITE, QTDIR, type Stat } from '../fs/wire/protocol.js'
import { ShellError, why } from './failure.js'
import { QUICK_MS } from './link.js'
import type { Sink } from './pipe.js'
import { user } from './space.js'
import type { State } from './state.js'

const nodes = /^worker-\d{4,}$/

/**
 * The part of the cluster that answers for a path: the workers it leads through, or else the server that is mounted
 * there.
 */
export function nodeOf(state: State, path: string): string {
  const source = state.space.namespace.source(path)
  if (!source) return 'dish'
  const through = namesOf(`${source.from.startsWith('/') ? source.from : ''}${path.slice(source.old.length)}`)
  const own = through.filter(name => nodes.test(name))
  const host = through[through.indexOf('host') + 1]
  if (own.length > 0) return own.join('/')
  if (through.includes('host') && host !== undefined) return `host ${host}`
  return source.from.startsWith('#')
    ? 'dish'
    : (namesOf(source.from.startsWith('/') ? source.from : source.old).at(-1) ?? '/')
}

/** Works on a file. @throws ShellError that names the file, the server or worker that answers for it, and the user */
export async function named<T>(state: State, path: string, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (signal.aborted) throw signal.reason
    if (!(error instanceof FsError)) throw error
    const said = why(error)
    const text = said.endsWith(`: ${path}`) ? said.slice(0, -path.length - 2) : said
    const node = nodeOf(state, path)
    // where nothing is mounted, the user may have meant a file of this machine
    const elsewhere = node === 'dish' && error.isMissing && !/^\/(?:n|usr)\b/.test(path)
    const remedy = elsewhere ? '; use ! commands for files of this machine' : ''
    throw new ShellError(`${path}: ${text} (${node}, as ${user.name})${remedy}`, codeOf(error), { cause: error })
  }
}

/** Asks something that should be answered at once. @throws FsError after `ms`: the server is then taken for dead */
export function quickly<T>(
  signal: AbortSignal,
  ask: (signal: AbortSignal) => Promise<T>,
  ms: number = QUICK_MS,
): Promise<T> {
  return within(systemClock, ms, signal, ask)
}

/** Opens a file. The caller closes it. */
export function open(state: State, path: string, mode: number, signal: AbortSignal): Promise<Fid> {
  return named(state, path, signal, () =>
    quickly(signal, async signal => {
      const root = await state.space.root()
      return (await root.ask(namesOf(path), fid => fid.open(mode, signal), signal)).fid
    }),
  )
}

/** Opens a file for writing, from its start or at its end. Creates it if it does not exist. */
export function openToWrite(state: State, path: string, signal: AbortSignal, append = false) {
  return named(state, path, signal, () =>
    quickly(signal, async signal => {
      const root = await state.space.root()
      const mode = append ? OWRITE : OWRITE | OTRUNC
      try {
        const { fid } = await root.ask(namesOf(path), fid => fid.open(mode, signal), signal)
        return { fid, offset: append ? Number((await fid.stat(signal)).length) : 0 }
      } catch (error) {
        if (!(error instanceof FsError && error.isMissing)) throw error
        return { fid: await create(root, path, 0o644, OWRITE, signal), offset: 0 }
      }
    }),
  )
}

async function create(root: Fid, path: string, perm: number, mode: number, signal: AbortSignal): Promise<Fid> {
  const all = namesOf(path)
  const name = all.pop()
  if (name === undefined) throw fail('isDirectory')
  const fid = await root.walk(all, signal)
  try {
    return await fid.create(name, perm, mode, signal)
  } catch (error) {
    fid.drop()
    throw error
  }
}

/** Makes a directory. */
export function make(state: State, path: string, perm: number, signal: AbortSignal): Promise<void> {
  return named(state, path, signal, () =>
    quickly(signal, async signal => (await create(await state.space.root(), path, perm, OREAD, signal)).drop()),
  )
}

/** Walks to a file and asks one question about it, such as its stat. */
export function about<T>(
  state: State,
  path: string,
  signal: AbortSignal,
  question: (fid: Fid, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  return named(state, path, signal, () =>
    quickly(signal, async signal => {
      const root = await state.space.root()
      const { fid, answer } = await root.ask(namesOf(path), fid => question(fid, signal), signal)
      fid.drop()
      return answer
    }),
  )
}

export const stat = (state: State, path: string, signal: AbortSignal): Promise<Stat> =>
  about(state, path, signal, (fid, signal) => fid.stat(signal))

/** The stat of a file, or undefined if it does not exist. */
export async function find(state: State, path: string, signal: AbortSignal): Promise<Stat | undefined> {
  try {
    return await stat(state, path, signal)
  } catch (error) {
    if (error instanceof ShellError && error.cause instanceof FsError && error.cause.isMissing) return undefined
    throw error
  }
}

/** A directory's entries in order of their names; with complete stats if `full`. */
export async function list(state: State, path: string, signal: AbortSignal, full = false): Promise<Stat[]> {
  const fid = await open(state, path, OREAD, signal)
  try {
    const stats = await named(state, path, signal, () =>
      quickly(signal, signal => (full ? fid.stats(signal) : fid.list(signal))),
    )
    return stats.sort((a, b) => compare(a.name, b.name))
  } finally {
    fid.drop()
  }
}

const collator = new Intl.Collator('en', { numeric: true })

/** Compares names as people sort them: worker-2 before worker-10. */
export const compare = (a: string, b: string): number => collator.compare(a, b) || (a < b ? -1 : a > b ? 1 : 0)

/**
 * Reads an open file to its end and passes on the content as it arrives, however long that takes. @returns the offset
 * of the end
 */
export function drain(
  state: State,
  path: string,
  fid: Fid,
  signal: AbortSignal,
  take: (data: Uint8Array) => Promise<void>,
  from = 0,
): Promise<number> {
  return named(state, path, signal, async () => {
    if (fid.qid.type & QTDIR) throw fail('isDirectory')
    for (let offset = from; ; ) {
      const data = await fid.read(offset, Number.MAX_SAFE_INTEGER, signal)
      if (data.length === 0) return offset
      await take(data)
      offset += data.length
    }
  })
}

/** The largest text that is read as a whole, in bytes. */
const MAX_KEPT = 16 * 1024 * 1024

/**
 * The text of a small file whose reads never wait. A server that does not deliver it within ANSWER_MS is taken to hang.
 */
export async function text(state: State, path: string, signal: AbortSignal): Promise<string> {
  const fid = await open(state, path, OREAD, signal)
  const parts: Uint8Array[] = []
  let length = 0
  const take = async (data: Uint8Array) => {
    length += data.length
    if (length > MAX_KEPT) throw fail('tooLarge', `over ${MAX_KEPT} bytes`)
    parts.push(data)
  }
  try {
    await named(state, path, signal, () => quickly(signal, signal => drain(state, path, fid, signal, take), ANSWER_MS))
  } finally {
    fid.drop()
  }
  return Buffer.concat(parts).toString('utf8')
}

/** A file that is being written. `end` throws if the file finds the whole content wrong. */
export class FileSink implements Sink {
  constructor(
    readonly state: State,
    readonly path: string,
    readonly fid: Fid,
    private offset: number,
  ) {}

  write(data: Uint8Array, signal: AbortSignal): Promise<void> {
    return named(this.state, this.path, signal, async () => {
      this.offset += await this.fid.write(this.offset, data, signal)
    })
  }

  async end(signal: AbortSignal): Promise<void> {
    try {
      await named(this.state, this.path, signal, () => this.fid.sync(signal))
    } finally {
      this.fid.drop()
    }
  }
}

export { isDirectory }
