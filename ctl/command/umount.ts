/** `llamboctl umount`: unmounts a directory. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Run } from '../../cli/command.js'
import { exitCode, Failure } from '../../cli/exit.js'
import type { Invocation } from '../../cli/invocation.js'
import { isAlive, isPid, readServerFile } from '../../cli/serverfile.js'
import { isMounted, unmount } from '../../mnt/mount.js'
import { mountName } from '../../mnt/mountpoint.js'
import { mountDir } from './mount.js'

/** How long the process behind a mount may take to unmount it, in ms. */
const PATIENCE_MS = 5_000
/** How often to check whether it has, in ms. */
const LOOK_MS = 50

export const run: Run = async (io, [given]) => {
  const dir = mountDir(io, given)
  if (!(await isMounted(dir))) throw new Failure(exitCode.failed, `${dir}: not mounted`)
  await endMounter(io, dir)
  if (await isMounted(dir)) await unmount(dir)
}

/**
 * Ends the process behind a mount that the user's own server made. The server then knows that the unmount is intended
 * and does not mount again.
 */
async function endMounter(io: Invocation, dir: string): Promise<void> {
  const file = readServerFile(io.env)
  if (!file || !isAlive(file) || !file.mounts.includes(await mountName(dir))) return
  const mounter = file.mounters?.[0]
  if (!mounter || !isPid(mounter.pid) || !isAlive(mounter)) return
  process.kill(mounter.pid, 'SIGTERM')
  const end = performance.now() + PATIENCE_MS
  while ((await isMounted(dir)) && performance.now() < end) await sleep(LOOK_MS, undefined, { signal: io.signal })
}
