import type { Transport } from '../../fs/transport.js'

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
    if (!this.over) this.sent(messages.map(parts => (parts.length === 1 ? parts[0]! : joined(parts))))
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

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((n, part) => n + part.length, 0))
  let at = 0
  for (const part of parts) {
    out.set(part, at)
    at += part.length
  }
  return out
}
