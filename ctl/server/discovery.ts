import { BlockList, isIPv4 } from 'node:net'
import { hostname } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import Bonjour, { type Service } from 'bonjour-service'
import { timeLimit } from '../../fs/clock.js'
import { bare, isLoopback, isNumeric, isWildcard } from '../../mnt/exposure.js'
import { JOIN_PATH } from '../../mnt/upgrade.js'
import { ownAddresses } from '../common/networks.js'
import type { Listener } from './listeners.js'

/** `_llambo._tcp`. */
const TYPE = 'llambo'
const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
/** How often a server looks whether this machine has other networks by now, in ms. */
const NETWORKS_MS = 15_000
/** A query that is lost is asked again after this, in ms. */
const AGAIN_MS = 1000
/** Servers that are remembered of one network: who floods it with names fills nobody's memory. */
const MAX_FOUND = 64

/**
 * multicast DNS on the network of one of our addresses: the library's, but that a network it cannot use does not end the
 * process. Left to itself it speaks to the network of the default route only, and throws where it finds the port taken.
 */
function onNetwork(address: string, note: (line: string) => void): Bonjour {
  let said = false
  const problem = (error: NodeJS.ErrnoException) => {
    // what is no system call's is a message that nobody could read, and its sender's business
    if (said || !error.syscall) return
    note(`mDNS on ${address}: ${error.message}`)
    said = true
  }
  // bound to all addresses, for one bound to its own is not given what is sent to a group
  const options = { interface: address, bind: '0.0.0.0' }
  const bonjour = new Bonjour(options as object, problem)
  const { mdns } = (bonjour as unknown as { server: { mdns: NodeJS.EventEmitter } }).server
  mdns.on('error', problem).on('warning', problem)
  return bonjour
}

export interface Advertised {
  /** Of this server. */
  readonly id: string
  readonly version: string
  /** Where it listens: those are told of that speak TLS and that other machines reach. */
  readonly listeners: readonly Listener[]
  /** Gets what a person should know: a network without multicast. */
  readonly note: (line: string) => void
}

/**
 * Tells the networks this machine is in that a server can be joined, over IPv4, until `close`, which takes it back.
 * Does nothing for a server that no other machine reaches.
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
        // not the machine's name, which is others' to tell of and to take back
        host: `${id}.local`,
        // the name has the id: nobody else has it
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

/** Says goodbye and lets go of the socket. */
const withdraw = (bonjour: Bonjour): Promise<void> =>
  new Promise(resolve => bonjour.unpublishAll(() => bonjour.destroy(resolve)))

/** What is left of a machine's name in a label of the DNS that has to hold a UUID too. */
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

/** Whether an IPv4 address is one of a private network, or of a single link (RFC 1918, RFC 3927). */
export const isPrivate = (address: string): boolean => networks.check(address)

/** A server that says of itself that it can be joined. Nothing of it is proved. */
export interface Found {
  readonly name: string
  readonly id: string
  readonly version: string
  /** Its join end point, by the number it spoke from. */
  readonly address: string
  readonly fingerprint: string
}

/**
 * Looks for servers that can be joined on the networks this machine is in.
 * @param enough ends the search with the server it is true of
 * @returns who was found within `ms`, in the order in which they answered
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

/** What a server says of itself, if it is what one of ours says: it comes from anybody, and is shown on a terminal. */
function understand({ name, port, txt = {}, referer }: Service): Found | undefined {
  const { id, version, path, fingerprint } = txt as Readonly<Record<string, string | undefined>>
  if (!uuid.test(id ?? '') || !/^[\w.+-]{1,40}$/.test(version ?? '') || path !== JOIN_PATH) return undefined
  if (!/^sha256:[0-9a-f]{64}$/.test(fingerprint ?? '') || !isIPv4(referer?.address ?? '')) return undefined
  if (!/^[\w-]{1,63}$/.test(name) || !(port > 0 && port < 65536)) return undefined
  const address = `wss://${referer!.address}:${port}${path}`
  return { name, id: id!, version: version!, address, fingerprint: fingerprint! }
}
