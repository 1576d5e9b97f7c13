/** `llamboctl logs`: prints the events of the cluster, a worker or a host. */

import { FsError } from '../../api/errors.js'
import type { Run } from '../../cli/command.js'
import { exitCode, Failure } from '../../cli/exit.js'
import { drain, promptly, withFile } from '../../cli/files.js'
import { sanitize } from '../../cli/terminal/sanitize.js'
import type { Fid } from '../../fs/client/client.js'
import { OREAD } from '../../fs/wire/protocol.js'

/** The directory of the worker or host with that name. @throws Failure where there is neither */
async function place(root: Fid, name: string, signal: AbortSignal): Promise<string[]> {
  for (const path of [[name], ['host', name]]) {
    try {
      await promptly(root, path, signal, async signal => (await root.walk([...path, 'event'], signal)).clunk())
      return path
    } catch (error) {
      if (!(error instanceof FsError && error.isMissing)) throw error
    }
  }
  throw new Failure(exitCode.failed, `no worker or host "${name}"; llamboctl status lists them`)
}

/** Prints the newest lines of an `event` file. With `follow` it goes on with new lines until it is interrupted. */
export const run: Run = async (io, [name], { follow }) => {
  const { root, client } = await io.connect()
  const path = name === undefined ? [] : await place(root, name, io.signal)
  const decoder = new TextDecoder()
  const print = (data: Uint8Array) => {
    const text = decoder.decode(data, { stream: true })
    return io.print(io.stdout.isTTY ? sanitize(text) : text)
  }
  const at = [...path, 'event']
  if (follow) await withFile(root, at, OREAD, io.signal, fid => drain(fid, print, io.signal))
  else {
    // the first read after an open returns the newest lines in one piece; the next read would wait for new ones
    const newest = (signal: AbortSignal) =>
      withFile(root, at, OREAD, signal, fid => fid.read(0, Number.MAX_SAFE_INTEGER, signal))
    await print(await promptly(root, at, io.signal, newest))
  }
  client.close()
}
