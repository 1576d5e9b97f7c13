/** `llamboctl down`: stops the server and waits until it has ended. */

import { setTimeout as sleep } from 'node:timers/promises'
import { status } from '../../api/status.js'
import type { Run } from '../../cli/command.js'
import type { Connection } from '../../cli/connect.js'
import { exitCode, Failure } from '../../cli/exit.js'
import { drain, withFile } from '../../cli/files.js'
import type { Invocation } from '../../cli/invocation.js'
import { NOT_RUNNING, waitingFor } from '../../cli/phrases.js'
import { isAlive, readServerFile, type ServerFile } from '../../cli/serverfile.js'
import { systemClock, timeLimit } from '../../fs/base/clock.js'
import { interruptible, within } from '../../fs/base/interruptible.js'
import { OREAD, OWRITE } from '../../fs/wire/protocol.js'

/**
 * How long a server may take to stop, in ms: answers have 25 s to finish, then the server unmounts and frees its
 * memory.
 */
const PATIENCE_MS = 45_000
/** How long the server may take to answer how many answers are unfinished, in ms. */
const ASK_MS = 5_000

export const run: Run = async (io, _args, { now }) => {
  if (io.globals.at || io.env.LLAMBO) return tell(await io.connect(), io.signal)
  const file = readServerFile(io.env)
  if (!file || !isAlive(file)) {
    const none = () => new Failure(exitCode.unreachable, NOT_RUNNING)
    const connection = await io.connect().catch(error => {
      throw io.signal.aborted ? error : none()
    })
    io.note('server.json is missing or damaged; stopping the server that answers at your socket')
    return tell(connection, io.signal)
  }
  const answers = now ? 0 : await unfinished(io)
  if (answers > 0) io.note(`${waitingFor(answers, 25)}; llamboctl down --now does not wait`)
  await stop(file, PATIENCE_MS, io.signal, now)
}

/**
 * Stops a server through its `ctl` file, and returns when the server has closed the connection.
 * @throws Failure (timeout) where it does not close it within PATIENCE_MS
 */
async function tell({ root, client }: Connection, signal: AbortSignal): Promise<void> {
  await withFile(root, ['ctl'], OWRITE, signal, fid => fid.write(0, Buffer.from('shutdown\n'), signal))
  const late = () => new Failure(exitCode.timeout, `the server did not exit within ${PATIENCE_MS / 1000} s`)
  await within(systemClock, PATIENCE_MS, signal, () => client.closed.then(() => undefined), late)
}

/** The number of answers that the server would finish before it ends; 0 where the server does not say. */
async function unfinished(io: Invocation): Promise<number> {
  const signal = AbortSignal.any([io.signal, timeLimit(ASK_MS)])
  const ask = async () => {
    const { root, client } = await io.connect()
    let text = ''
    await withFile(root, ['status'], OREAD, signal, fid =>
      drain(fid, async data => void (text += new TextDecoder().decode(data)), signal),
    )
    client.close()
    return text
  }
  try {
    const { server } = status.read(await interruptible(ask(), signal))
    return server.active + server.queue
  } catch {
    return 0
  }
}

/**
 * Sends SIGTERM to a process of ours and waits until it has ended.
 * @param now sends a second SIGTERM, at which the process no longer waits for answers that are being made
 * @throws Failure (timeout) where the process does not end; the message says how to kill it
 */
export async function stop(
  file: Pick<ServerFile, 'pid' | 'born'>,
  patience_ms: number,
  signal: AbortSignal,
  now = false,
): Promise<void> {
  process.kill(file.pid, 'SIGTERM')
  let again = now
  for (const end = performance.now() + patience_ms; isAlive(file); ) {
    if (performance.now() > end) {
      throw new Failure(
        exitCode.timeout,
        `process ${file.pid} did not exit within ${patience_ms / 1000} s; to kill it: kill -9 ${file.pid} (the next start cleans up)`,
      )
    }
    await sleep(20, undefined, { signal })
    // the kernel merges equal signals that are pending, so the second is sent later than the first
    if (again) process.kill(file.pid, 'SIGTERM')
    again = false
  }
}
