import { isMounted, unmount } from '../../mnt/mount.js'
import type { Run } from '../common/command.js'
import { exitCode, Failure } from '../common/exit.js'
import { mountDir } from './mount.js'

export const run: Run = async (io, [given]) => {
  const dir = mountDir(io, given)
  if (!(await isMounted(dir))) throw new Failure(exitCode.failed, `${dir}: nothing is mounted there`)
  await unmount(dir)
}
