import { setTimeout as sleep } from 'node:timers/promises'
import { systemClock, timeLimit } from '../../fs/clock.js'
import { interruptible, within } from '../../fs/interruptible.js'
import { OREAD, OWRITE } from '../../fs/protocol.js'
import { parseRecords } from '../../fs/quote.js'
import type { Run } from '../common/command.js'
import type { Connection } from '../common/connect.js'
import { exitCode, Failure } from '../common/exit.js'
import { drain, withFile } from '../common/files.js'
import type { Invocation } from '../common/invocation.js'
import { isAlive, readServerFile, type ServerFile } from '../common/serverfile.js'

/** How long a server may take to stop, in ms: its answers have 25 s, and then it lets go of mounts and memory. */
const PATIENCE_MS = 45_000
/** How long `status` may take to say what is waited for, in ms. */
const ASK_MS = 5_000

export const run: Run = async (io, _args, { now }) => {
  if (io.globals.at || io.env.LLAMBO) return tell(await io.connect(), io.signal)
  const file = readServerFile(io.env)
  if (!file || !isAlive(file)) {
    const none = () => new Failure(exitCode.unreachable, 'no server of yours is running')
    const connection = await io.connect().catch(error => {
      throw io.signal.aborted ? error : none()
    })
    io.note('server.json is gone or damaged: the server that answers at your socket is stopped')
    return tell(connection, io.signal)
  }
  const answers = now ? 0 : await unfinished(io)
  if (answers > 0)
    io.note(
      `waiting for ${answers} ${answers === 1 ? 'answer' : 'answers'} to end, 25 s at most; llamboctl down --now does not wait`,
    )
  await stop(file, PATIENCE_MS, io.signal, now)
}

/** Has a server end by its files, and returns when it has let go of the connection. @throws Failure (timeout) where it does not */
async function tell({ root, client }: Connection, signal: AbortSignal): Promise<void> {
  await withFile(root, ['ctl'], OWRITE, signal, fid => fid.write(0, Buffer.from('shutdown\n'), signal))
  const late = () => new Failure(exitCode.timeout, `the server has not ended within ${PATIENCE_MS / 1000} s`)
  await within(systemClock, PATIENCE_MS, signal, late, () => client.closed.then(() => undefined))
}

/** How many answers the server would be waited for; 0 where it does not say. */
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
    const [server] = parseRecords(await interruptible(ask(), signal))
    return Number(server?.attrs.active ?? 0) + Number(server?.attrs.queued ?? 0) || 0
  } catch {
    return 0
  }
}

/**
 * Asks a process of ours to end, and waits until it has.
 * @param now asks twice, so that answers under way are not waited for
 * @throws Failure (timeout) that says how to end one that does not
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
        `process ${file.pid} does not stop; kill -9 ${file.pid} ends it, the next start clears away what it leaves`,
      )
    }
    await sleep(20, undefined, { signal })
    // signals that come together are one
    if (again) process.kill(file.pid, 'SIGTERM')
    again = false
  }
}
