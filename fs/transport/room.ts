import { readFileSync } from 'node:fs'
import type { Socket } from 'node:net'
import { MAX_CONNECTIONS, RESERVED_DESCRIPTORS } from '../limits.js'

/** Of all connections, so many are open when it is said that there is room again. */
const ROOM_AGAIN = 0.9

let open = 0
let refused = 0
let most: number | undefined

/**
 * Counts a connection that a listener of this process was given, until it is closed; where there is no room it is closed at once.
 * Left to itself the system does the same when descriptors run out, but tells nobody, and leaves none to open a model with.
 * @param told gets a line when connections begin to be refused, and one when there is room again
 * @returns whether there was room
 */
export function admit(socket: Socket, told: (line: string) => void = () => {}): boolean {
  most ??= maxConnections(readLimits())
  if (open >= most) {
    if (++refused === 1) told(`${open} connections are open, more are refused: ${reason(most)}`)
    socket.destroy()
    return false
  }
  open++
  socket.once('close', () => {
    open--
    // not at each that goes while others wait to come
    if (refused === 0 || open > most! * ROOM_AGAIN) return
    told(`there is room for connections again, ${refused} were refused`)
    refused = 0
  })
  return true
}

const reason = (most: number): string =>
  most === MAX_CONNECTIONS
    ? 'no server takes more'
    : 'the limit on open files has no room for more; raise it (ulimit -Hn as root, or LimitNOFILE in a systemd unit)'

/** Connections for which descriptors are there. @param limits as /proc/self/limits has them; empty where there is none */
export function maxConnections(limits: string): number {
  const files = Number(/^Max open files +(\d+)/m.exec(limits)?.[1] ?? Infinity)
  // of a few descriptors a server needs half itself
  return Math.min(MAX_CONNECTIONS, files - Math.min(RESERVED_DESCRIPTORS, Math.ceil(files / 2)))
}

function readLimits(): string {
  try {
    return readFileSync('/proc/self/limits', 'utf8')
  } catch {
    return ''
  }
}
