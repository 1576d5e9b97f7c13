import { type ChildProcess, spawn } from 'node:child_process'
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseAddress } from '../fs/dial.js'
import { fail } from '../fs/errors.js'
import { asker } from './asking.js'
import type { MountRequest, MountResult } from './mount-process.js'
import { mountName } from './mountpoint.js'

export { fuseProblem } from './fuse/device.js'
export { answers, clearStale, deadMounts, isMounted, unmount } from './mountpoint.js'

const PROCESS = fileURLToPath(new URL('./mount-process.js', import.meta.url))
/** How long a mount may take, in ms: the connection has 15 s of it, and the directory may be on a file system that hangs. */
const START_MS = 30_000

/** The process behind a mount, as whoever keeps it running sees it. */
export interface MountProcess {
  /** undefined: it could not be started, and `exited` says why. */
  readonly pid: number | undefined
  /** Resolves when it is mounted. Rejects with what is in the way, in one line with its remedy. */
  readonly ready: Promise<void>
  /** Never rejects. Code 0: it was asked to end, by SIGTERM. */
  readonly exited: Promise<{ code: number | null; signal: string | null; said?: string | undefined }>
  /** Resolves when its loop has answered. */
  readonly ask: () => Promise<void>
  kill(signal: 'SIGTERM' | 'SIGKILL'): void
}

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

/** The same, by a process that the caller stays in touch with. @param request as `wholly` gives it */
export const spawnMount = (request: MountRequest): MountProcess => processOf(start({ ...request, kept: true }), request)

/** The request in words that mean the same in any directory: its process runs in `/`. */
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
  // the directory is there for ps(1), and to leave room for the title; a token must not be
  const child = spawn(process.execPath, [PROCESS, request.dir], {
    cwd: '/',
    detached: true,
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    // one thread always waits in the device
    env: { ...process.env, UV_THREADPOOL_SIZE: '4' },
  })
  child.send(request, () => undefined) // one that is gone by then says so by its exit
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
      failed(new Error(`the mount process: ${exit.said}`))
    })
  })
  ready.catch(() => undefined)
  return { pid: child.pid, ready, exited, ask: asker(child), kill: signal => void child.kill(signal) }
}

/** What ended a mount's process, in words. */
function endedBy(code: number | null, signal: string | null): string {
  if (signal) return `ended by ${signal}`
  return code === 3 ? 'unmounted by somebody else' : `ended with ${code}`
}

function absolute(address: string): string {
  const at = parseAddress(address)
  return at.kind === 'unix' ? `unix!${resolve(at.path)}` : address
}
