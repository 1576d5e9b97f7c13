/** Which addresses the user's own server answers at, for what is meant for that server alone. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { type Address, parseAddress } from '../../fs/dial.js'
import { bare, isLoopback, isWildcard } from '../../mnt/exposure.js'
import { runningServer } from './serverfile.js'

/**
 * Whether the server that `up` recorded in server.json is the one at an address: it still runs, the address is one of those it listens at,
 * and nobody else listens on that port of this machine. With a fingerprint that is the server's own no port is looked at, as only the
 * server can show that certificate.
 * @param fingerprint what a wss server's certificate must have before anything is sent to it
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

/** Host and port of an address that has them. */
function endOf(at: Address): { host: string; port: number } | undefined {
  if (at.kind === 'unix') return undefined
  if (at.kind === 'tcp') return { host: bare(at.host), port: at.port }
  const { protocol, hostname, port } = new URL(at.url)
  return { host: bare(hostname), port: Number(port || (protocol === 'wss:' ? 443 : 80)) }
}

/** The kernel's number for a socket that listens. */
const LISTEN = '0A'
/** 127.0.0.0/8 and all addresses, then ::1, all, and 127.0.0.0/8 in IPv6, as /proc/net/tcp and tcp6 write them. */
const near = /^([0-9A-F]{6}7F|00000000|0{24}01000000|0{32}|0{16}FFFF0000[0-9A-F]{6}7F|0{16}FFFF00000{8})$/

/**
 * Whether every socket that listens on a port of loopback is a process's, and there is one. A name such as localhost has several
 * addresses, so one of them in other hands is enough to say no. Where there is no /proc nothing more can be known: true.
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

/** What a process's descriptors are, as /proc names them; none where we may not look. */
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
