/** Starts the process behind a mount, and reports when the mount is up and how the process ended. */
import { type ChildProcess, spawn } from 'node:child_process'
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { fail } from '../fs/base/errors.js'
import { parseAddress } from '../fs/dial.js'
import { asker } from './asking.js'
import type { MountRequest, MountResult } from './mount-process.js'
import { mountName } from './mountpoint.js'

export { fuseProblem } from './fuse/device.js'
export { answers, clearStale, deadMounts, isMounted, unmount } from './mountpoint.js'

const PROCESS = fileURLToPath(new URL('./mount-process.js', import.meta.url))
/**
 * How long a mount may take, in ms. Connecting may take 15 s of that; the directory may be on a file system that hangs.
 */
const START_MS = 30_000

/** The process behind a mount, for a caller that keeps it running. */
export interface MountProcess {
  /** undefined if the process could not be started; `exited` has the reason. */
  readonly pid: number | undefined
  /** Resolves when the mount is up. Rejects with the reason in one line with its remedy. */
  readonly ready: Promise<void>
  /** Never rejects. Code 0: the process was asked to end, by SIGTERM. `said` is the reason in words. */
  readonly exited: Promise<{ code: number | null; signal: string | null; said?: string | undefined }>
  /** Checks that the process is alive: resolves when its event loop has answered, and stays pending if it does not. */
  readonly ask: () => Promise<void>
  kill(signal: 'SIGTERM' | 'SIGKILL'): void
}

/**
 * Refuses to mount with a token for all users of the machine, unless the request says that this is intended
 * (`shareToken`). A token stands for one user, so every user of the mount would act as that user.
 * @throws FsError `permission denied` with the remedy
 */
export function checkSharing({ address, token, allowOther, shareToken }: Omit<MountRequest, 'dir'>): void {
  if (!allowOther || token === undefined || shareToken) return
  throw fail(
    'notPermitted',
    `the token of ${address} stands for one user, so --allow-other would let every user of this machine act as that user; leave it out, ` +
      'mount the unix socket of a server on this machine, where each user acts as themselves, or add --share-token if you intend that',
  )
}

/**
 * Mounts a server's tree on a directory. A separate process serves the mount, outlives the caller and shows as
 * `llambo-mount DIR` in ps(1). SIGTERM (or `unmount`) ends it.
 * @param options `trace` is a file to which every 9P message and every request of the kernel is appended as a line
 * @returns the process and the directory, when the mount is up and the mounting user is attached
 * @throws Error with the reason, in one line with its remedy
 */
export async function startMount(options: MountRequest): Promise<{ pid: number; dir: string }> {
  checkSharing(options)
  const request = await wholly(options)
  const child = start(request)
  try {
    await processOf(child, request).ready
  } finally {
    if (child.connected) child.disconnect()
    child.unref()
  }
  return { pid: child.pid!, dir: request.dir }
}

/** Mounts like startMount, but the caller stays connected to the process. @param request as `wholly` returns it */
export const spawnMount = (request: MountRequest): MountProcess => processOf(start({ ...request, kept: true }), request)

/** The request with absolute paths: the process behind the mount runs in `/`. */
export async function wholly(options: MountRequest): Promise<MountRequest> {
  const request: MountRequest = {
    ...options,
    dir: await mountName(options.dir),
    address: absolute(options.address),
  }
  if (options.trace !== undefined) request.trace = resolve(options.trace)
  return request
}

function start(request: MountRequest): ChildProcess {
  // The directory is an argument for ps(1), and to leave room for the process title. The token must not be one: ps(1)
  // shows it.
  const child = spawn(process.execPath, [PROCESS, request.dir], {
    cwd: '/',
    detached: true,
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    // one thread of the pool always waits in the device
    env: { ...process.env, UV_THREADPOOL_SIZE: '4' },
  })
  child.send(request, () => undefined) // if the child is gone already, its exit says so
  return child
}

function processOf(child: ChildProcess, { dir }: MountRequest): MountProcess {
  let said: string | undefined
  const exited = new Promise<Awaited<MountProcess['exited']>>(resolve => {
    child.once('error', ({ message }) => resolve({ code: null, signal: null, said: message }))
    child.once('exit', (code, signal) => resolve({ code, signal, said: said ?? endedBy(code, signal) }))
  })
  const ready = new Promise<void>((done, failed) => {
    const late = setTimeout(() => {
      said = `${dir}: not mounted within ${START_MS / 1000} s; its file system may hang: mount on another directory`
      child.kill('SIGKILL')
      failed(new Error(said))
    }, START_MS)
    child.on('message', (result: MountResult) => {
      if (result.mounted === undefined) return
      clearTimeout(late)
      said = result.error
      if (result.mounted) done()
      else failed(new Error(result.error))
    })
    void exited.then(exit => {
      clearTimeout(late)
      failed(new Error(`the mount process ended: ${exit.said}`))
    })
  })
  ready.catch(() => undefined)
  return { pid: child.pid, ready, exited, ask: asker(child), kill: signal => void child.kill(signal) }
}

/** Says in words what ended the process behind a mount. */
function endedBy(code: number | null, signal: string | null): string {
  if (signal) return `ended by ${signal}`
  return code === 3 ? 'another program unmounted the directory' : `exited with code ${code}`
}

function absolute(address: string): string {
  const at = parseAddress(address)
  return at.kind === 'unix' ? `unix!${resolve(at.path)}` : address
}
