import { setTimeout as sleep } from 'node:timers/promises'
import { OWRITE } from '../../fs/protocol.js'
import type { Run } from '../common/command.js'
import { exitCode, Failure } from '../common/exit.js'
import { withFile } from '../common/files.js'
import { isAlive, readServerFile, type ServerFile } from '../common/serverfile.js'

/** How long a server may take to stop, in ms: it lets go of mounts and memory, which takes a second or two. */
const PATIENCE_MS = 30_000

export const run: Run = async io => {
  if (io.globals.at || io.env.LLAMBO) {
    const { root, client } = await io.connect()
    await withFile(root, ['ctl'], OWRITE, io.signal, fid => fid.write(0, Buffer.from('shutdown\n'), io.signal))
    client.close()
    return
  }
  const file = readServerFile(io.env)
  if (!file || !isAlive(file)) throw new Failure(exitCode.unreachable, 'no server of yours is running')
  await stop(file, PATIENCE_MS, io.signal)
}

/** Asks a process of ours to end, and waits until it has. @throws Failure (timeout) that says how to end one that does not */
export async function stop(
  file: Pick<ServerFile, 'pid' | 'born'>,
  patience_ms: number,
  signal: AbortSignal,
): Promise<void> {
  process.kill(file.pid, 'SIGTERM')
  for (const end = performance.now() + patience_ms; isAlive(file); ) {
    if (performance.now() > end) {
      throw new Failure(
        exitCode.timeout,
        `process ${file.pid} does not stop; kill -9 ${file.pid} ends it, the next start clears away what it leaves`,
      )
    }
    await sleep(20, undefined, { signal })
  }
}
