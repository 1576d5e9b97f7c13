/** Decides whether an address is that of the user's own server, to which alone the user's own token may be sent. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { type Address, parseAddress } from '../fs/dial.js'
import { bare, isLoopback, isWildcard } from '../fs/host-name.js'
import { runningServer } from './serverfile.js'

/**
 * Whether the server at an address is the one that `up` recorded in server.json: that server still runs, it listens at
 * the address, and no other process listens on that port of this machine. With a fingerprint, which is compared with
 * the server's own, the port is not checked, because only the server can show that certificate.
 * @param fingerprint the fingerprint that a wss server's certificate must have before anything is sent to the server
 * @throws FsError `bad argument` where the address is invalid
 */
export function isOwnServer(address: string, fingerprint: string | undefined, env: NodeJS.ProcessEnv): boolean {
  const server = runningServer(env)
  const dialled = endOf(parseAddress(address))
  if (!server || !dialled || !isLoopback(dialled.host)) return false
  if (fingerprint !== undefined) return fingerprint === server.fingerprint
  const recorded = server.addresses.some(one => {
    const end = endOf(parseAddress(one))
    return end?.port === dialled.port && (isLoopback(end.host) || isWildcard(end.host))
  })
  return recorded && listensAlone(server.pid, dialled.port)
}

/** The host and port of an address; undefined for a unix socket. */
function endOf(at: Address): { host: string; port: number } | undefined {
  if (at.kind === 'unix') return undefined
  if (at.kind === 'tcp') return { host: bare(at.host), port: at.port }
  const { protocol, hostname, port } = new URL(at.url)
  return { host: bare(hostname), port: Number(port || (protocol === 'wss:' ? 443 : 80)) }
}

/** The state of a listening socket in /proc/net/tcp (TCP_LISTEN). */
const LISTEN = '0A'
/**
 * The local addresses of sockets that receive connections to loopback, as /proc/net/tcp and tcp6 write them:
 * 127.0.0.0/8 and 0.0.0.0, then ::1, ::, and the two of IPv4 mapped into IPv6.
 */
const near = /^([0-9A-F]{6}7F|00000000|0{24}01000000|0{32}|0{16}FFFF0000[0-9A-F]{6}7F|0{16}FFFF00000{8})$/

/**
 * Whether a process holds every socket that listens on a port of loopback, and there is at least one. A name such as
 * localhost has several addresses, so a single socket of another process is enough for false. True where there is no
 * /proc, because nothing more can be known.
 */
function listensAlone(pid: number, port: number): boolean {
  const tables = ['tcp', 'tcp6'].flatMap(name => textOf(`/proc/self/net/${name}`) ?? [])
  if (tables.length === 0) return true
  const end = port.toString(16).toUpperCase().padStart(4, '0')
  const inodes = tables.flatMap(table =>
    table
      .split('\n')
      .slice(1)
      .flatMap(line => {
        const [, local = '', , state, , , , , , inode] = line.trim().split(/\s+/)
        const [host = '', own] = local.split(':')
        return state === LISTEN && own === end && near.test(host) && inode !== undefined ? [`socket:[${inode}]`] : []
      }),
  )
  if (inodes.length === 0) return false
  const held = new Set(socketsOf(pid))
  return inodes.every(inode => held.has(inode))
}

function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}

/** What the descriptors of a process refer to, as /proc names it; empty where /proc may not be read. */
function socketsOf(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/fd`).flatMap(fd => {
      try {
        return [readlinkSync(`/proc/${pid}/fd/${fd}`)]
      } catch {
        // closed meanwhile
        return []
      }
    })
  } catch {
    return []
  }
}
