/** Lets the running answers of a worker finish before it ends. */
import { type Clock, sleep } from '../fs/base/clock.js'
import type { Connection } from '../fs/server/server.js'
import { OREAD } from '../fs/wire/protocol.js'
import type { Worker } from './worker/worker.js'

/** How long the running answers may take when a worker is to end, in ms. */
const DRAIN_MS = 25_000
/** How often to check whether they have been read, in ms. */
const POLL_MS = 20

/**
 * Waits until the running answers of a worker have ended and been read, for at most 25 s. New prompts are refused
 * meanwhile.
 * @param sessions the connections that have an attached fid
 */
export async function finish(worker: Worker, sessions: Iterable<Connection>, clock: Clock): Promise<void> {
  await Promise.race([worker.drain().then(read), sleep(clock, DRAIN_MS)])

  /**
   * Resolves when nobody is reading an answer, or the reply to a command, any more: a cluster closes the file when it
   * is done.
   */
  async function read(): Promise<void> {
    const open = ({ fids }: Connection) => [...fids.values()].some(({ opened, mode }) => opened && (mode & 3) !== OREAD)
    while ([...sessions].some(open)) await sleep(clock, POLL_MS)
  }
}
