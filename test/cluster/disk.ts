/** A disk in memory for long logs, which a test can make slow, full or damaged. */
import { setImmediate as turn } from 'node:timers/promises'
import type { SpillDisk } from '../../cluster/root/spills.js'

export class Disk implements SpillDisk {
  readonly files = new Map<string, Buffer>()
  writes = 0
  reads = 0
  mostReads = 0
  full = false
  /** The operations that wait for a slow disk; undefined: the disk is fast. */
  slow: (() => void)[] | undefined

  constructor(readonly limit = 1e9) {}

  /** Lets all waiting operations go on; later ones do not wait. */
  async go(): Promise<void> {
    const waiting = this.slow ?? []
    this.slow = undefined
    for (const on of waiting) on()
    await settled()
  }

  async #wait(): Promise<void> {
    if (this.slow) await new Promise<void>(resolve => this.slow!.push(resolve))
  }

  async write(name: string, offset: number, pieces: readonly Uint8Array[]): Promise<void> {
    this.writes++
    await this.#wait()
    if (this.full) throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' })
    const before = this.files.get(name) ?? Buffer.alloc(0)
    if (before.length !== offset) throw new Error(`a write at ${offset} of a file of ${before.length}`)
    this.files.set(name, Buffer.concat([before, ...pieces]))
  }

  async read(name: string, offset: number, count: number): Promise<Uint8Array> {
    this.mostReads = Math.max(this.mostReads, ++this.reads)
    await this.#wait()
    this.reads--
    const file = this.files.get(name)
    if (!file) throw Object.assign(new Error('ENOENT'), { code: 'ENOENT' })
    return file.subarray(offset, offset + count)
  }

  async remove(name: string): Promise<void> {
    await this.#wait()
    this.files.delete(name)
  }
}

/** Waits until nothing more happens by itself. */
export async function settled(): Promise<void> {
  for (let i = 0; i < 20; i++) await turn()
}
