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
  const driver = new Driver(link, await link.root(owner.uid), owner, allowOther)
  const ready = new Promise<void>(done => (driver.onready = done))
  const fd = await mountDevice(dir, allowOther)
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
