/** Keeps the connection of a worker, a host or a cluster to the cluster that it joins. */
import { backoff } from '../fs/base/backoff.js'
import { type Clock, sleep } from '../fs/base/clock.js'
import type { File, Owner } from '../fs/file.js'
import { bytes } from '../fs/kit/content.js'
import type { Connection } from '../fs/server/server.js'
import type { Transport } from '../fs/transport.js'

/** Pauses before dialling again. */
const PAUSES = { first_ms: 100, longest_ms: 30_000 }
/** A connection that lasted this long, in ms, was a good one: the pauses start from the beginning again. */
const GOOD_MS = 10_000

/**
 * The options with which a cluster that we joined attaches: the role that it asks for, and whether it asks for our
 * secret.
 */
export const joinedOptions = ['role', 'secret'] as const
/**
 * The attach name with which the cluster itself reads our secret. Attaches for its users give a role and nothing else.
 */
export const SECRET_ANAME = '/?role=admin&secret=yes'

/** Returns what an attach of the cluster that we joined gets: our files, or our secret if it asks for that. */
export function joinedRoot(root: File, secret: string, owner: Owner, options: ReadonlyMap<string, string>): File {
  return options.has('secret') ? bytes(secret, { owner, mode: 0o400 }) : root
}

export interface JoiningOptions {
  clock: Clock
  /** Returns 0 to 1, as Math.random does. */
  random: () => number
  /** Opens a connection to the cluster that we join. */
  dial(signal: AbortSignal): Promise<Transport>
  /** Serves our files over the connection. We dialled, but we are the server (docs/cluster.md, Joining). */
  serve(transport: Transport): Connection
  /** The longest pause, in ms; 30 s if omitted. */
  longest_ms?: number
  /** Called with the reason why dialling failed or the connection ended, and the time until the next attempt, in ms. */
  onPause?(error: Error | undefined, pause_ms: number): void
}

/**
 * Keeps our files joined to a cluster: dials, serves, and dials again when the connection is gone. The pauses grow to
 * the longest and are random (full jitter), so that a thousand workers do not come back at once.
 * @returns when the signal has aborted and the last connection is closed; never rejects
 */
export async function keepJoined(o: JoiningOptions, signal: AbortSignal): Promise<void> {
  const { longest_ms = PAUSES.longest_ms } = o
  for (let failures = 0; !signal.aborted; failures++) {
    const began = o.clock.now()
    let failure: Error | undefined
    try {
      const session = o.serve(await o.dial(signal))
      const leave = () => session.close()
      signal.addEventListener('abort', leave, { once: true })
      await session.closed
      signal.removeEventListener('abort', leave)
    } catch (error) {
      failure = error as Error
    }
    if (signal.aborted) return
    if (o.clock.now() - began >= GOOD_MS) failures = 0
    const pause = Math.ceil(backoff(failures, { ...PAUSES, longest_ms }, o.random))
    o.onPause?.(failure, pause)
    await sleep(o.clock, pause, signal).catch(() => undefined)
  }
}
