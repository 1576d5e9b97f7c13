/** Mounts a 9P connection on a directory with llambo's own FUSE driver. */
import { read, writevSync } from 'node:fs'
import type { Link } from '../link.js'
import { mountDevice } from './device.js'
import { Driver } from './driver.js'
import { Loop } from './loop.js'

/** A mount that is up, by either driver. */
export interface Mounted {
  /** Resolves when the kernel has released the mount. */
  readonly done: Promise<void>
  /** Whether `done` has settled. */
  readonly ended: boolean
  /** Fails the requests in progress, so that the mount can be unmounted. */
  stop(): void
}

/**
 * Mounts the tree behind a link on a directory that checkMountpoint has accepted.
 * @returns when the kernel has answered and the mount is up
 * @throws Error in one line with the remedy
 */
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
  // In 9P2000.L a user number means the same user at both ends, so the kernel can check the mode bits, as it does for
  // Linux's own 9P client. diod (1.0.24, without authentication) relies on that check: it lets every user of root's
  // connection read as root.
  const fd = await mountDevice(dir, allowOther, allowOther && driver.dialect.sameUsers)
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
