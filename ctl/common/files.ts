import type { Fid } from '../../fs/client.js'
import { OREAD } from '../../fs/protocol.js'
import { codeOf, explain, Failure } from './exit.js'
import type { Invocation } from './invocation.js'
import { shown } from './npath.js'
import { Flow, isProse } from './terminal/flow.js'

/** Does something with the file of that name; what fails says which file it was. */
export async function named<T>(path: readonly string[], work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof Failure) throw error
    throw new Failure(codeOf(error), `${shown(path)}: ${explain(error)}`, { cause: error })
  }
}

/** Walks there, opens, and clunks whatever comes of it. */
export function withFile<T>(
  root: Fid,
  path: readonly string[],
  mode: number,
  signal: AbortSignal,
  use: (fid: Fid) => Promise<T>,
): Promise<T> {
  return named(path, async () => {
    const fid = await root.walk(path, signal)
    try {
      await fid.open(mode, signal)
      return await use(fid)
    } finally {
      await fid.clunk().catch(() => {})
    }
  })
}

/** Reads an open file to its end and hands on what comes, as it comes. @returns how many bytes that was */
export async function drain(fid: Fid, sink: (data: Uint8Array) => Promise<void>, signal: AbortSignal): Promise<number> {
  for (let offset = 0; ; ) {
    const data = await fid.read(offset, Number.MAX_SAFE_INTEGER, signal)
    if (data.length === 0) return offset
    await sink(data)
    offset += data.length
  }
}

/**
 * Prints what comes of an open file, as it comes; on a terminal an answer is broken at blanks.
 * @param seen gets it as it came
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

/** A small text file. */
export async function readText(root: Fid, path: readonly string[], signal: AbortSignal): Promise<string> {
  const parts: Uint8Array[] = []
  await withFile(root, path, OREAD, signal, fid => drain(fid, async data => void parts.push(data), signal))
  return Buffer.concat(parts).toString('utf8')
}
