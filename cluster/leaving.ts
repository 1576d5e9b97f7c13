import { type Clock, sleep } from '../fs/clock.js'
import { OREAD } from '../fs/protocol.js'
import type { Session } from '../fs/server.js'
import type { Worker } from './worker/worker.js'

/** How long the answers under way may take when a worker is to end, in ms. */
const DRAIN_MS = 25_000
/** How often it looks whether they have been read, in ms. */
const LOOK_MS = 20

/**
 * Lets a worker's answers under way end, and be read, before it goes; new ones are refused meanwhile.
 * @param sessions the connections on which somebody has attached
 */
export async function finish(worker: Worker, sessions: Iterable<Session>, clock: Clock): Promise<void> {
  await Promise.race([worker.drain().then(read), sleep(clock, DRAIN_MS)])

  /** Resolves when no answer is still being read, nor the reply to a command: a cluster that is done closes its file. */
  async function read(): Promise<void> {
    const open = ({ fids }: Session) => [...fids.values()].some(({ opened, mode }) => opened && (mode & 3) !== OREAD)
    while ([...sessions].some(open)) await sleep(clock, LOOK_MS)
  }
}
