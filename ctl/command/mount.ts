/** `llamboctl mount`: mounts the server at a directory. */
import { resolve } from 'node:path'
import type { Run } from '../../cli/command.js'
import { exitCode, Failure, usage } from '../../cli/exit.js'
import type { Invocation } from '../../cli/invocation.js'
import { homeMount, MOUNT } from '../../cli/ns-path.js'
import { checkSharing, clearStale, fuseProblem, startMount } from '../../mnt/mount.js'
import { makeMountPoint } from '../server/mounting.js'

/** The directory to mount at. Without `dir` it is the one where `up` mounts. */
export const mountDir = (io: Invocation, dir: string | undefined): string =>
  resolve(dir ?? (process.getuid?.() === 0 ? MOUNT : homeMount(io.env)))

export const run: Run = async (io, [given], { allowOther, shareToken, driver }) => {
  const problem = await fuseProblem()
  if (problem !== undefined) throw new Failure(exitCode.failed, problem)
  const dir = mountDir(io, given)
  const [token, fingerprint] = await Promise.all([io.token(), io.fingerprint()])
  // A mount redials by itself for as long as it exists. By then another program may own the port and would be offered
  // the token; a pinned certificate prevents that.
  if (token !== undefined && fingerprint === undefined && !io.env.LLAMBO_TOKEN && !io.env.LLAMBO_TOKEN_FILE) {
    throw usage(
      `mount: your own token would be offered to any program that later listens at ${io.address}; omit --at to mount your server by its socket, ` +
        'or set LLAMBO_TOKEN_FILE to a file with a token for this address',
    )
  }
  const who = {
    address: io.address,
    ...(token && { token }),
    ...(allowOther && { allowOther }),
    ...(shareToken && { shareToken }),
  }
  checkSharing(who)
  // Connect first, so that a missing server is reported at once and not by a mount that fails later.
  const { client } = await io.connect()
  client.close()
  await clearStale(dir)
  makeMountPoint(dir)
  await startMount({
    ...who,
    dir,
    ownPlace: io.ownPlace,
    ...(fingerprint && { fingerprint }),
    ...(io.globals.aname !== undefined && { aname: io.globals.aname }),
    ...(driver && { driver }),
    ...(io.globals.trace && { trace: resolve(io.globals.trace) }),
  })
  io.note(`mounted at ${dir}`)
}
