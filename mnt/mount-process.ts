/**
 * The process behind one mount: `node mount-process.js DIR`, started by mount.ts, which sends what to mount over IPC. It never
 * touches its own mount, by name or by descriptor: it would wait for itself.
 */
import { openSync, writeSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Mounted } from './fuse/mounted.js'
import { Link } from './link.js'
import { checkMountpoint, mountsOn, unmount } from './mountpoint.js'

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
}

export interface MountResult {
  error?: string
}

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
  start(request).then(
    () => answer({}),
    (error: Error) => answer({ error: error.message }, 1),
  )
})

function answer(result: MountResult, code?: number): void {
  process.off('disconnect', orphaned)
  process.send?.(result, () => {
    if (process.connected) process.disconnect()
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
  const id = (await mountsOn(dir)).at(-1)?.id
  const end = once(() => finish(mounted, link, dir, id))
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, end)
  mounted.done.then(end, error => {
    trace?.(`# ${error.stack}`)
    end()
  })
  watch(dir, id, end)
}

/** A lazy unmount from outside leaves the device open as long as anybody stands in the tree: nobody new can come, so end. */
function watch(dir: string, id: number | undefined, end: () => void): void {
  setInterval(async () => {
    if (!(await mountsOn(dir)).some(mount => mount.id === id)) end()
  }, WATCH_MS)
}

async function finish(mounted: Mounted, link: Link, dir: string, id: number | undefined): Promise<void> {
  mounted.stop()
  await Promise.race([unmountOurs(dir, id).catch(() => {}), sleep(END_MS)])
  await Promise.race([mounted.done.catch(() => {}), sleep(RELEASE_MS)])
  link.close()
  // Node's exit waits for the pool's threads, and one may still be in the device (programs hold on to an unmounted tree):
  // this cannot hang, and an ended process releases them.
  if (!mounted.ended) process.kill(process.pid, 'SIGKILL')
  process.exit(0)
}

/** Unmounts it where it still is there: another may have been mounted in its place. */
async function unmountOurs(dir: string, id: number | undefined): Promise<void> {
  if ((await mountsOn(dir)).at(-1)?.id === id) await unmount(dir)
}

function once(run: () => void): () => void {
  let ran = false
  return () => {
    if (ran) return
    ran = true
    run()
  }
}
