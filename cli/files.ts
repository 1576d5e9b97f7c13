/** What commands do with files of a server: open, read, print and list them, with errors that name the file. */

import { fail } from '../api/errors.js'
import { systemClock } from '../fs/base/clock.js'
import { within } from '../fs/base/interruptible.js'
import { ANSWER_MS, MAX_WHOLE } from '../fs/base/limits.js'
import type { Fid } from '../fs/client/client.js'
import { OREAD, type Stat } from '../fs/wire/protocol.js'
import { silent } from './connect.js'
import { codeOf, explain, Failure } from './exit.js'
import type { Invocation } from './invocation.js'
import { shown } from './ns-path.js'
import { Flow, isProse } from './terminal/flow.js'

/** Runs `work` on a file. @throws Failure that begins with the file's path, for whatever `work` throws */
export async function named<T>(path: readonly string[], work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof Failure) throw error
    throw new Failure(codeOf(error), `${shown(path)}: ${explain(error)}`, { cause: error })
  }
}

/**
 * Asks a server for something that it can answer at once. It is not for content that may have to be waited for, nor for
 * loading a model.
 * @throws Failure (unreachable) where the server does not answer within ANSWER_MS
 */
export function promptly<T>(
  root: Fid,
  path: readonly string[],
  signal: AbortSignal,
  ask: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const late = () => silent(`${shown(path)}: ${root.client.transport.name}`, ANSWER_MS)
  return within(systemClock, ANSWER_MS, signal, ask, late)
}

/**
 * Walks to a file, opens it, runs `use` and clunks the fid in any case. The walk and the open have a time limit, `use`
 * does not.
 */
export function withFile<T>(
  root: Fid,
  path: readonly string[],
  mode: number,
  signal: AbortSignal,
  use: (fid: Fid) => Promise<T>,
): Promise<T> {
  return named(path, async () => {
    const fid = await promptly(root, path, signal, async signal => {
      const fid = await root.walk(path, signal)
      return fid.open(mode, signal).catch(error => {
        fid.drop()
        throw error
      })
    })
    try {
      return await use(fid)
    } finally {
      const closed = fid.clunk().catch(() => {})
      // a user who has interrupted the command does not wait for a server that hangs
      if (!signal.aborted) await closed
    }
  })
}

/** Reads an open file to its end and passes the data to `sink` as it arrives. @returns the number of bytes read */
export async function drain(fid: Fid, sink: (data: Uint8Array) => Promise<void>, signal: AbortSignal): Promise<number> {
  for (let offset = 0; ; ) {
    const data = await fid.read(offset, Number.MAX_SAFE_INTEGER, signal)
    if (data.length === 0) return offset
    await sink(data)
    offset += data.length
  }
}

/**
 * Prints an open file as its data arrives. On a terminal the text of an answer is wrapped at spaces.
 * @param seen called with the data before it is wrapped
 */
export async function show(
  io: Invocation,
  path: readonly string[],
  fid: Fid,
  seen: (data: Uint8Array) => void = () => undefined,
): Promise<void> {
  const flow = io.stdout.isTTY && isProse(path) ? new Flow(() => io.stdout.columns || 80) : undefined
  const print = (data: Uint8Array) => {
    seen(data)
    return io.print(flow ? flow.push(data) : data)
  }
  await drain(fid, print, io.signal)
  if (flow) await io.print(flow.end())
}

/** Lists a directory that is small and answers at once. @throws Failure as `promptly` does */
export function entries(root: Fid, path: readonly string[], signal: AbortSignal): Promise<Stat[]> {
  return promptly(root, path, signal, signal => withFile(root, path, OREAD, signal, fid => fid.list(signal)))
}

/**
 * Reads a small text file whose content never has to be waited for.
 * @throws Failure as `promptly` does, or `file too large` beyond MAX_WHOLE
 */
export function readText(root: Fid, path: readonly string[], signal: AbortSignal): Promise<string> {
  return promptly(root, path, signal, async signal => {
    const parts: Uint8Array[] = []
    let length = 0
    const add = async (data: Uint8Array) => {
      length += data.length
      if (length > MAX_WHOLE) throw fail('tooLarge', `over ${MAX_WHOLE} bytes`)
      parts.push(data)
    }
    await withFile(root, path, OREAD, signal, fid => drain(fid, add, signal))
    return Buffer.concat(parts).toString('utf8')
  })
}
