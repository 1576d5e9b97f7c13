/**
 * The process behind one mount, `node mount-process.js DIR`: mount.ts starts it and sends it a MountRequest over IPC.
 * It never touches its own mount, by name or by descriptor, because it would then wait for itself.
 */
import { openSync, writeSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { answerQuestions } from './asking.js'
import type { Mounted } from './fuse/mounted.js'
import { Link } from './link.js'
import { checkMountpoint, type Mount, mountsOn, unmount } from './mountpoint.js'

export interface MountRequest {
  address: string
  token?: string
  /** The fingerprint that a wss server's certificate must have. */
  fingerprint?: string
  dir: string
  allowOther?: boolean
  /** With a token and `allowOther`: the caller intends that every user of the mount acts as the token's user. */
  shareToken?: boolean
  /** The address is a unix socket that is trusted because of where it is. */
  ownPlace?: boolean
  driver?: 'llambo' | 'fuse-native'
  aname?: string
  trace?: string
  /** The parent keeps the IPC channel open and checks over it that this process is alive. */
  kept?: boolean
}

export interface MountResult {
  mounted?: boolean
  error?: string
}

/** The exit code when the mount ended without this process having been asked to end, for example by umount(8). */
const GONE = 3
/** How long the unmounting may take before the process exits without it, in ms. */
const END_MS = 2000
/**
 * How long to wait for the device to report the unmounting, in ms. It does so at once unless programs still use the
 * tree.
 */
const RELEASE_MS = 200
/** How often to check that the mount is still there, in ms. */
const WATCH_MS = 2000

let trace: ((line: string) => void) | undefined
// one bad reply, or a bug in one operation, must not take the files of all users away
process.on('uncaughtException', error => trace?.(`# ${error.stack}`))
// the parent went away before the mount was up
const orphaned = () => process.exit(1)

process.once('disconnect', orphaned)
process.once('message', (request: MountRequest) => {
  answerQuestions()
  start(request).then(
    () => answer({ mounted: true }, request.kept),
    (error: Error) => answer({ mounted: false, error: error.message }, false, 1),
  )
})

function answer(result: MountResult, kept = false, code?: number): void {
  process.off('disconnect', orphaned)
  process.send?.(result, () => {
    if (process.connected && !kept) process.disconnect()
    if (code !== undefined) process.exit(code)
  })
}

async function start(request: MountRequest): Promise<void> {
  const { address, token, fingerprint, dir, aname, ownPlace = false, allowOther = false } = request
  process.title = `llambo-mount ${dir}`
  if (request.trace !== undefined) {
    const file = openSync(request.trace, 'a', 0o600)
    trace = line => writeSync(file, `${line}\n`)
  }
  await checkMountpoint(dir)
  const link = await Link.open(
    {
      address,
      ownPlace,
      ...(token === undefined ? {} : { token }),
      ...(fingerprint === undefined ? {} : { fingerprint }),
      ...(aname === undefined ? {} : { aname }),
      ...(trace ? { trace } : {}),
    },
    process.getuid!(),
  )
  const { mount } =
    request.driver === 'fuse-native' ? await import('./fuse-native.js') : await import('./fuse/mounted.js')
  const mounted = await mount(link, dir, allowOther, trace)
  const ours = (await mountsOn(dir)).at(-1)
  const end = once((code: number) => finish(mounted, link, dir, ours, code))
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => end(0))
  mounted.done.catch(error => trace?.(`# ${error.stack}`)).then(() => end(GONE))
  watch(dir, ours, () => end(GONE))
}

/**
 * Ends this process once the mount is no longer in the kernel's table. After a lazy unmount by somebody else the device
 * stays open for as long as a program uses the tree, but no new program can reach it.
 */
function watch(dir: string, ours: Mount | undefined, end: () => void): void {
  setInterval(async () => {
    if (!(await mountsOn(dir)).some(mount => same(mount, ours))) end()
  }, WATCH_MS)
}

async function finish(mounted: Mounted, link: Link, dir: string, ours: Mount | undefined, code: number): Promise<void> {
  mounted.stop()
  // when the device has ended, the kernel has released the mount, and another mount may have its numbers by now
  if (!mounted.ended) await Promise.race([unmountOurs(dir, ours).catch(() => {}), sleep(END_MS)])
  await Promise.race([mounted.done.catch(() => {}), sleep(RELEASE_MS)])
  link.close()
  // Node's exit waits for the threads of its pool, and one may still be reading from the device because programs use
  // the unmounted tree. SIGKILL cannot hang, and the end of the process releases those programs.
  if (!mounted.ended) process.kill(process.pid, 'SIGKILL')
  process.exit(code)
}

/** Unmounts our mount if it is still the topmost there: another may have been mounted in its place. */
async function unmountOurs(dir: string, ours: Mount | undefined): Promise<void> {
  if (same((await mountsOn(dir)).at(-1), ours)) await unmount(dir)
}

/**
 * Whether two entries are the same mount. The kernel reuses the number of a mount once it is free. It reuses the device
 * number of a file system only when nothing holds the file system any more, not even in another mount namespace. So no
 * other mount has both numbers while we serve ours.
 */
const same = (a: Mount | undefined, b: Mount | undefined): boolean => a?.id === b?.id && a?.device === b?.device

function once(run: (code: number) => void): (code: number) => void {
  let ran = false
  return code => {
    if (ran) return
    ran = true
    run(code)
  }
}
