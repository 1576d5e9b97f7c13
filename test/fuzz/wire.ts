/** The fuzzer's end of a transport. */

import type { Transport } from '../../fs/transport.js'
import { join } from '../../fs/wire/framer.js'

/** One end of a connection whose other end is the fuzzer: what is sent is handed over at once. */
export class Wire implements Transport {
  readonly name = 'fuzz'
  queued = 0
  paused = false
  over = false
  ondata: (chunk: Uint8Array) => void = () => {}
  onclose: (reason?: Error) => void = () => {}
  ondrain: () => void = () => {}

  constructor(readonly sent: (messages: Uint8Array[]) => void) {}

  send(messages: Uint8Array[][]): void {
    if (!this.over) this.sent(messages.map(parts => join(parts)))
  }

  pause(): void {
    this.paused = true
  }

  resume(): void {
    this.paused = false
  }

  close(): void {
    this.destroy()
  }

  destroy(reason?: Error): void {
    if (this.over) return
    this.over = true
    this.onclose(reason)
  }
}
