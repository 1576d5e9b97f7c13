/** Limits the connections of all listeners of this process. */
import { readFileSync } from 'node:fs'
import type { Socket } from 'node:net'
import { MAX_CONNECTIONS, RESERVED_DESCRIPTORS } from '../base/limits.js'

/** The fraction of the limit at which `told` is informed that there is room again. */
const ROOM_AGAIN = 0.9

let open = 0
let refused = 0
let most: number | undefined

/**
 * Counts a connection that a listener has accepted until it is closed. If there is no room, it is closed at once:
 * without this, the system does the same when descriptors run out, but reports it to no one and leaves none to open a
 * model with.
 * @param told called with a line when connections begin to be refused, and when there is room again
 * @returns whether there was room
 */
export function admitConnection(socket: Socket, told: (line: string) => void = () => {}): boolean {
  most ??= maxConnections(readLimits())
  if (open >= most) {
    if (++refused === 1) told(`${open} connections are open, new ones are refused: ${reason(most)}`)
    socket.destroy()
    return false
  }
  open++
  socket.once('close', () => {
    open--
    // not for each connection that closes while others are still being refused
    if (refused === 0 || open > most! * ROOM_AGAIN) return
    told(`connections are accepted again; ${refused} were refused`)
    refused = 0
  })
  return true
}

const reason = (most: number): string =>
  most === MAX_CONNECTIONS
    ? 'a server accepts no more than that'
    : 'the limit on open files does not allow more; raise it (ulimit -Hn as root, or LimitNOFILE in a systemd unit)'

/**
 * How many connections the limit on open files leaves room for. @param limits the content of /proc/self/limits; empty
 * if there is none
 */
export function maxConnections(limits: string): number {
  const files = Number(/^Max open files +(\d+)/m.exec(limits)?.[1] ?? Infinity)
  // with few descriptors, the server itself needs half of them
  return Math.min(MAX_CONNECTIONS, files - Math.min(RESERVED_DESCRIPTORS, Math.ceil(files / 2)))
}

function readLimits(): string {
  try {
    return readFileSync('/proc/self/limits', 'utf8')
  } catch {
    return ''
  }
}
