/**
 * The process behind one mount: `node mount-process.js DIR`, started by mount.ts, which sends what to mount over IPC. It never
 * touches its own mount, by name or by descriptor: it would wait for itself.
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
  /** Of the certificate that a wss server must have. */
  fingerprint?: string
  dir: string
  allowOther?: boolean
  /** With a token and `allowOther`: that everybody who comes in is the token's user is meant. */
  shareToken?: boolean
  /** The address is a socket that is trusted by its place. */
  ownPlace?: boolean
  driver?: 'llambo' | 'fuse-native'
  aname?: string
  trace?: string
  /** Whoever asks stays in touch: the channel stays open, and questions on it are answered. */
  kept?: boolean
}

export interface MountResult {
  mounted?: boolean
  error?: string
}

/** The code of one whose mount was taken away, not by us. */
const GONE = 3
/** How long a clean end may take before it is ended anyhow, in ms. */
const END_MS = 2000
/** How long the device's end is waited for once unmounted: at once, unless programs hold on to the tree. */
const RELEASE_MS = 200
/** How often it is looked whether the mount is still there, in ms. */
const WATCH_MS = 2000

let trace: ((line: string) => void) | undefined
// one bad reply, one bug in one operation must not take everybody's files away
process.on('uncaughtException', error => trace?.(`# ${error.stack}`))
// whoever asked for the mount is gone before it was there
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

/** A lazy unmount from outside leaves the device open as long as anybody stands in the tree: nobody new can come, so end. */
function watch(dir: string, ours: Mount | undefined, end: () => void): void {
  setInterval(async () => {
    if (!(await mountsOn(dir)).some(mount => same(mount, ours))) end()
  }, WATCH_MS)
}

async function finish(mounted: Mounted, link: Link, dir: string, ours: Mount | undefined, code: number): Promise<void> {
  mounted.stop()
  // where the device has ended the kernel has let go of the mount, and its numbers may be another's by now
  if (!mounted.ended) await Promise.race([unmountOurs(dir, ours).catch(() => {}), sleep(END_MS)])
  await Promise.race([mounted.done.catch(() => {}), sleep(RELEASE_MS)])
  link.close()
  // Node's exit waits for the pool's threads, and one may still be in the device (programs hold on to an unmounted tree):
  // this cannot hang, and an ended process releases them.
  if (!mounted.ended) process.kill(process.pid, 'SIGKILL')
  process.exit(code)
}

/** Unmounts it where it still is there: another may have been mounted in its place. */
async function unmountOurs(dir: string, ours: Mount | undefined): Promise<void> {
  if (same((await mountsOn(dir)).at(-1), ours)) await unmount(dir)
}

/**
 * The kernel gives the number of a mount to the next once it is free. It keeps the device of a file system that anybody still
 * holds, in another mount namespace perhaps: no other mount has both while we serve ours.
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
