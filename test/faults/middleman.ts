/** A proxy that delays, holds back or cuts connections. */

import { connect, createServer, type Server, type Socket } from 'node:net'
import type { Stage } from './stage.js'

/** What a proxy does to the bytes that pass it. */
export type Way = 'pass' | 'delay' | 'blackhole' | 'trickle'

/** How long delayed bytes take one way, and the time between two bytes of a trickle, in ms. */
const DELAY_MS = 200
const TRICKLE_MS = 2

/** A proxy from one unix socket to another. Both directions have the same rule, which may change at any time. */
export class Middleman {
  way: Way = 'pass'
  readonly #pairs = new Set<readonly [Socket, Socket]>()

  private constructor(
    readonly path: string,
    readonly to: string,
    readonly server: Server,
  ) {}

  static async listen(stage: Stage, path: string, to: string): Promise<Middleman> {
    const server = createServer({ allowHalfOpen: true })
    const proxy = new Middleman(path, to, server)
    server.on('connection', near => proxy.#take(near))
    await new Promise<void>(resolve => server.listen(path, resolve))
    stage.teardown(() => {
      server.close()
      proxy.cut()
    })
    return proxy
  }

  get address(): string {
    return `unix!${this.path}`
  }

  get connections(): number {
    return this.#pairs.size
  }

  /** Ends all connections at once. Bytes on the way are lost. */
  cut(): void {
    for (const pair of this.#pairs) for (const socket of pair) socket.destroy()
  }

  /** Tells the listening side that no more comes; what it says still passes. */
  halfClose(): void {
    for (const [, far] of this.#pairs) far.end()
  }

  #take(near: Socket): void {
    const far = connect({ path: this.to, allowHalfOpen: true })
    const pair = [near, far] as const
    this.#pairs.add(pair)
    this.#forward(near, far)
    this.#forward(far, near)
    for (const socket of pair)
      socket
        .on('error', () => undefined)
        .on('close', () => {
          this.#pairs.delete(pair)
          for (const other of pair) other.destroy()
        })
  }

  /** Passes bytes on in order, by the rule that holds when they are due. */
  #forward(from: Socket, to: Socket): void {
    const waiting: { bytes: Uint8Array; due: number }[] = []
    let timer: NodeJS.Timeout | undefined
    const next = () => {
      timer = undefined
      while (waiting.length > 0) {
        const [{ bytes, due }] = waiting as [{ bytes: Uint8Array; due: number }]
        const wait = due - Date.now()
        if (this.way === 'blackhole' || wait > 0) {
          timer = setTimeout(next, Math.max(wait, 50))
          return
        }
        if (this.way === 'trickle') {
          to.write(bytes.subarray(0, 1))
          if (bytes.length > 1) waiting[0]!.bytes = bytes.subarray(1)
          else waiting.shift()
          timer = setTimeout(next, TRICKLE_MS)
          return
        }
        to.write(bytes)
        waiting.shift()
      }
    }
    from.on('data', bytes => {
      waiting.push({ bytes, due: Date.now() + (this.way === 'delay' ? DELAY_MS : 0) })
      if (!timer) next()
    })
    from.on('end', () => this.way !== 'blackhole' && to.end())
    from.on('close', () => clearTimeout(timer))
  }
}
