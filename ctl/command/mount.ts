import { resolve } from 'node:path'
import { clearStale, fuseProblem, startMount } from '../../mnt/mount.js'
import type { Run } from '../common/command.js'
import { exitCode, Failure } from '../common/exit.js'
import type { Invocation } from '../common/invocation.js'
import { homeMount, MOUNT } from '../common/npath.js'
import { makeMountPoint } from '../server/mounting.js'

/** Where a mount is made unless it is said: where `up` makes its own. */
export const mountDir = (io: Invocation, dir: string | undefined): string =>
  resolve(dir ?? (process.getuid?.() === 0 ? MOUNT : homeMount(io.env)))

export const run: Run = async (io, [given], { allowOther, driver }) => {
  const problem = await fuseProblem()
  if (problem !== undefined) throw new Failure(exitCode.failed, problem)
  const dir = mountDir(io, given)
  // Tried first, so that a server that is not there is said in a second and not by a mount that fails.
  const { client } = await io.connect()
  client.close()
  await clearStale(dir)
  makeMountPoint(dir)
  const [token, fingerprint] = await Promise.all([io.token(), io.fingerprint()])
  await startMount({
    address: io.address,
    dir,
    ...(token && { token }),
    ...(fingerprint && { fingerprint }),
    ...(io.globals.aname !== undefined && { aname: io.globals.aname }),
    ...(allowOther && { allowOther }),
    ...(driver && { driver }),
    ...(io.globals.trace && { trace: resolve(io.globals.trace) }),
  })
  io.note(`mounted at ${dir}`)
}
