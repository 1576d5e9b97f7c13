import { read, writevSync } from 'node:fs'
import type { Link } from '../link.js'
import { mountDevice } from './device.js'
import { Driver } from './driver.js'
import { Loop } from './loop.js'

/** A mount that is up, whatever driver is behind it. */
export interface Mounted {
  /** Resolves when it is no longer mounted. */
  readonly done: Promise<void>
  readonly ended: boolean
  /** Fails what is under way, so that it can be unmounted. */
  stop(): void
}

/** Mounts what the link leads to on a checked directory by our own driver, and returns when the kernel has answered. */
export async function mount(
  link: Link,
  dir: string,
  allowOther: boolean,
  trace?: (line: string) => void,
): Promise<Mounted> {
  const owner = { uid: process.getuid!(), gid: process.getgid!() }
  const root = await link.root(owner.uid)
  const driver = new Driver(link, root, owner, allowOther)
  const ready = new Promise<void>(done => (driver.onready = done))
  // In 9P2000.L numbers are the same users at both ends, so that Linux's own client goes by the modes, too; diod (1.0.24, without
  // authentication) counts on it, and lets whoever comes over root's connection read as root.
  const fd = await mountDevice(dir, allowOther, allowOther && root.linux)
  const loop = new Loop(
    {
      read: (buffer, done) => read(fd, buffer, 0, buffer.length, null, done),
      write: parts => writevSync(fd, parts),
    },
    driver,
    trace,
  )
  await Promise.race([ready, loop.done])
  if (loop.ended) throw new Error(`${dir} was unmounted while it was being mounted`)
  return loop
}
