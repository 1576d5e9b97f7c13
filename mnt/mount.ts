import { spawn } from 'node:child_process'
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseAddress } from '../fs/dial.js'
import { fail } from '../fs/errors.js'
import type { MountRequest, MountResult } from './mount-process.js'
import { mountName } from './mountpoint.js'

export { fuseProblem } from './fuse/device.js'
export { clearStale, isMounted, unmount } from './mountpoint.js'

const PROCESS = fileURLToPath(new URL('./mount-process.js', import.meta.url))

/**
 * A token stands for one user, whoever comes in by it: a mount for all users of a machine would make each of them that user.
 * @throws FsError `permission denied` with the remedy, unless that is meant
 */
export function checkSharing({ address, token, allowOther, shareToken }: Omit<MountRequest, 'dir'>): void {
  if (!allowOther || token === undefined || shareToken) return
  throw fail(
    'notPermitted',
    `at ${address} a token says who one is, so --allow-other would let every user of this machine in as its owner; leave it out, ` +
      'mount the unix socket of a server on this machine, where each user is themselves, or add --share-token if that is meant',
  )
}

/**
 * Mounts a server's tree on a directory, by a process of its own that outlives the caller and shows as `llambo-mount DIR`.
 * SIGTERM (or `unmount`) ends it.
 * @param options `trace` is a file that gets every 9P message and every request of the kernel as a line
 * @returns when the mount is up and the mounting user is attached
 * @throws Error with what is in the way, in one line with its remedy
 */
export async function startMount(options: MountRequest): Promise<{ pid: number; dir: string }> {
  checkSharing(options)
  const dir = await mountName(options.dir)
  const request: MountRequest = { ...options, dir, address: absolute(options.address) }
  if (options.trace !== undefined) request.trace = resolve(options.trace)
  // the directory is there for ps(1), and to leave room for the title; a token must not be
  const child = spawn(process.execPath, [PROCESS, dir], {
    cwd: '/',
    detached: true,
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    // one thread always waits in the device
    env: { ...process.env, UV_THREADPOOL_SIZE: '4' },
  })
  try {
    await new Promise<void>((done, failed) => {
      child.once('message', (result: MountResult) => (result.error ? failed(new Error(result.error)) : done()))
      child.once('error', failed)
      child.once('exit', code => failed(new Error(`the mount process ended with ${code}`)))
      child.send(request, error => {
        if (error) failed(error)
      })
    })
  } finally {
    if (child.connected) child.disconnect()
    child.unref()
  }
  return { pid: child.pid!, dir }
}

/** The process runs in `/`, so a socket's relative path must be told in full. */
function absolute(address: string): string {
  const at = parseAddress(address)
  return at.kind === 'unix' ? `unix!${resolve(at.path)}` : address
}
