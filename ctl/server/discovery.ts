/** Announces a server on the local network with multicast DNS, and finds the servers that do so. */
import { BlockList, isIPv4 } from 'node:net'
import { hostname } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import Bonjour, { type Service } from 'bonjour-service'
import { ownAddresses } from '../../cli/own-addresses.js'
import { timeLimit } from '../../fs/base/clock.js'
import { bare, isLoopback, isNumeric, isWildcard } from '../../fs/host-name.js'
import { JOIN_PATH } from '../../mnt/upgrade.js'
import type { Listener } from './listeners.js'

/** The service type `_llambo._tcp`. */
const TYPE = 'llambo'
const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
/** How often a server checks whether the networks of this machine have changed, in ms. */
const NETWORKS_MS = 15_000
/** How often a query is repeated, in ms, because one may be lost. */
const AGAIN_MS = 1000
/** The most servers that a search remembers, so that a flood of names does not fill the memory. */
const MAX_FOUND = 64

/**
 * Starts the multicast DNS library on the network of one of our addresses. By default the library uses only the network
 * of the default route, and throws where the port is taken. Here a network that it cannot use causes a note and does
 * not end the process.
 */
function onNetwork(address: string, note: (line: string) => void): Bonjour {
  let said = false
  const problem = (error: NodeJS.ErrnoException) => {
    // an error without a system call is a malformed message, which is its sender's problem
    if (said || !error.syscall) return
    note(`mDNS on ${address}: ${error.message}`)
    said = true
  }
  // bound to all addresses, because a socket bound to one address does not receive what is sent to a group
  const options = { interface: address, bind: '0.0.0.0' }
  const bonjour = new Bonjour(options as object, problem)
  const { mdns } = (bonjour as unknown as { server: { mdns: NodeJS.EventEmitter } }).server
  mdns.on('error', problem).on('warning', problem)
  return bonjour
}

/** What `advertise` announces. */
export interface Advertised {
  /** The id of this server. */
  readonly id: string
  readonly version: string
  /** Its listeners. Those that speak TLS and that other machines can reach are announced. */
  readonly listeners: readonly Listener[]
  /** Called with lines for a person, such as that a network has no multicast. */
  readonly note: (line: string) => void
}

/**
 * Announces over IPv4, on all networks of this machine, that a server can be joined. `close` withdraws the
 * announcement. Does nothing for a server that no other machine can reach.
 */
export function advertise({ id, version, listeners, note }: Advertised): { close(): Promise<void> } {
  const reachable = listeners
    .filter(({ address }) => address.startsWith('wss:'))
    .map(({ address, fingerprint }) => ({ fingerprint, url: new URL(address), host: bare(new URL(address).hostname) }))
    .filter(({ host }) => !isLoopback(host))
  const told = new Map<string, Bonjour>()
  const look = () => {
    const addresses = reachable.length > 0 ? ownAddresses().filter(isIPv4) : []
    for (const [address, bonjour] of told)
      if (!addresses.includes(address)) {
        bonjour.destroy()
        told.delete(address)
      }
    for (const address of addresses) {
      const at = reachable.find(({ host }) => isWildcard(host) || host === address || !isNumeric(host))
      if (!at || told.has(address)) continue
      const bonjour = onNetwork(address, note)
      told.set(address, bonjour)
      bonjour.publish({
        name: `${label(hostname())}-${id}`,
        type: TYPE,
        port: Number(at.url.port || 443),
        // not the machine's own name: other programs announce that and would lose it when we withdraw ours
        host: `${id}.local`,
        // the name contains the id, so it cannot be in use
        probe: false,
        txt: { id, version, path: JOIN_PATH, fingerprint: at.fingerprint },
      })
    }
  }
  look()
  const timer = setInterval(look, NETWORKS_MS)
  timer.unref()
  return {
    async close() {
      clearInterval(timer)
      await Promise.all([...told.values()].map(withdraw))
      told.clear()
    },
  }
}

/** Withdraws the announcement and closes the socket. */
const withdraw = (bonjour: Bonjour): Promise<void> =>
  new Promise(resolve => bonjour.unpublishAll(() => bonjour.destroy(resolve)))

/** As much of a machine's name as fits into a DNS label beside a UUID. */
const label = (name: string): string =>
  name
    .split('.')[0]!
    .replace(/[^a-zA-Z0-9-]/g, '')
    .slice(0, 24) || 'llambo'

const networks = new BlockList()
for (const [net, bits] of [
  ['10.0.0.0', 8],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
  ['169.254.0.0', 16],
] as const)
  networks.addSubnet(net, bits)

/** Whether an IPv4 address belongs to a private network or is link-local (RFC 1918, RFC 3927). */
export const isPrivate = (address: string): boolean => networks.check(address)

/** A server that announces that it can be joined. Nothing of the announcement is proved. */
export interface Found {
  readonly name: string
  readonly id: string
  readonly version: string
  /** The address to join, made from the IP address that the announcement came from. */
  readonly address: string
  readonly fingerprint: string
}

/**
 * Searches the networks of this machine for servers that can be joined.
 * @param enough ends the search early, at the server for which it returns true
 * @returns the servers found within `ms`, in the order in which they answered
 * @throws the signal's reason
 */
export async function discover(
  { ms, note, enough = () => false }: { ms: number; note: (line: string) => void; enough?(found: Found): boolean },
  signal: AbortSignal,
): Promise<Found[]> {
  const found = new Map<string, Found>()
  const satisfied = new AbortController()
  const over = AbortSignal.any([signal, satisfied.signal, timeLimit(ms)])
  const networks = ownAddresses()
    .filter(isIPv4)
    .map(address => onNetwork(address, note))
  const browsers = networks.map(bonjour =>
    bonjour.find({ type: TYPE }, service => {
      const server = understand(service)
      if (!server || found.has(server.id) || found.size >= MAX_FOUND) return
      found.set(server.id, server)
      if (enough(server)) satisfied.abort()
    }),
  )
  while (!over.aborted) {
    await sleep(AGAIN_MS, undefined, { signal: over }).catch(() => undefined)
    for (const browser of browsers) browser.update()
  }
  for (const bonjour of networks) bonjour.destroy()
  signal.throwIfAborted()
  return [...found.values()]
}

/**
 * Reads an announcement.
 * @returns undefined unless it has the form of one of ours: any machine can send one, and parts
 * of it are shown on a terminal
 */
function understand({ name, port, txt = {}, referer }: Service): Found | undefined {
  const { id, version, path, fingerprint } = txt as Readonly<Record<string, string | undefined>>
  if (!uuid.test(id ?? '') || !/^[\w.+-]{1,40}$/.test(version ?? '') || path !== JOIN_PATH) return undefined
  if (!/^sha256:[0-9a-f]{64}$/.test(fingerprint ?? '') || !isIPv4(referer?.address ?? '')) return undefined
  if (!/^[\w-]{1,63}$/.test(name) || !(port > 0 && port < 65536)) return undefined
  const address = `wss://${referer!.address}:${port}${path}`
  return { name, id: id!, version: version!, address, fingerprint: fingerprint! }
}
