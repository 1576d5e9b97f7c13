/** `llamboctl cp`: copies files between this machine and the namespace, and within the namespace. */
import { createReadStream, createWriteStream, statSync } from 'node:fs'
import { rename, rm } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { FsError } from '../../api/errors.js'
import type { Run } from '../../cli/command.js'
import { usage } from '../../cli/exit.js'
import { drain, named, withFile } from '../../cli/files.js'
import type { Invocation } from '../../cli/invocation.js'
import { isDirectory } from '../../cli/listing.js'
import { write } from '../../cli/output.js'
import { Progress } from '../../cli/progress.js'
import { isWithin } from '../../fs/base/path.js'
import type { Fid } from '../../fs/client/client.js'
import { OREAD, OTRUNC, OWRITE } from '../../fs/wire/protocol.js'

/** Bytes that an upload reads from the file at a time. */
const CHUNK = 1024 * 1024

export const run: Run = async (io, paths) => {
  const target = paths.at(-1)!
  const sources = paths.slice(0, -1)
  if (sources.length === 0)
    throw usage('cp: missing argument; usage: llamboctl cp PATH… DEST; paths on the server begin with /n/llambo/')
  const remote = (path: string) => io.mounts.some(mount => isWithin(path, mount))
  if (!remote(target) && !sources.some(remote)) {
    throw usage(
      'cp: all paths are on this machine; paths on the server begin with /n/llambo/, such as /n/llambo/models/',
    )
  }
  const { root, client } = await io.connect()
  const into = await isInto(io, root, target, remote(target))
  if (sources.length > 1 && !into)
    throw usage(`cp: ${target}: not a directory; several files can only be copied into a directory`)
  for (const source of sources) {
    const place = into ? join(target, basename(source)) : target
    if (!remote(target)) await download(io, root, source, place)
    else if (remote(source)) await relay(io, root, source, place)
    else await upload(io, root, source, place)
  }
  client.close()
}

/** Whether the target is a directory that the files go into. Otherwise the one file takes the target's name. */
async function isInto(io: Invocation, root: Fid, target: string, remote: boolean): Promise<boolean> {
  if (!remote) return statSync(target, { throwIfNoEntry: false })?.isDirectory() ?? target.endsWith('/')
  try {
    const fid = await root.walk(io.names(target), io.signal)
    return isDirectory(await fid.stat(io.signal).finally(() => fid.clunk().catch(() => {})))
  } catch (error) {
    if (error instanceof FsError && error.isMissing) return false
    throw error
  }
}

/** Opens a file of the server for writing and truncates it, or creates it where it does not exist. */
async function create(root: Fid, path: readonly string[], signal: AbortSignal): Promise<Fid> {
  const name = path.at(-1)
  if (name === undefined) throw usage('cp: the root is a directory; give the name of a file in it')
  try {
    const fid = await root.walk(path, signal)
    return await fid.open(OWRITE | OTRUNC, signal).catch(error => fid.clunk().then(() => Promise.reject(error)))
  } catch (error) {
    if (!(error instanceof FsError && error.isMissing)) throw error
    const parent = await root.walk(path.slice(0, -1), signal)
    return await parent
      .create(name, 0o644, OWRITE, signal)
      .catch(failed => parent.clunk().then(() => Promise.reject(failed)))
  }
}

/**
 * Writes the chunks to a file of the server. `finish` has the server check the whole file before the clunk, because an
 * error of the clunk would be lost.
 */
async function put(
  io: Invocation,
  root: Fid,
  place: string,
  chunks: AsyncIterable<Uint8Array>,
  at: (done: number) => void,
) {
  const path = io.names(place)
  await named(path, async () => {
    const fid = await create(root, path, io.signal)
    try {
      let offset = 0
      for await (const chunk of chunks) {
        offset += await fid.write(offset, chunk, io.signal)
        at(offset)
      }
      await fid.finish(io.signal)
    } finally {
      await fid.clunk().catch(() => {})
    }
  })
}

async function upload(io: Invocation, root: Fid, source: string, place: string): Promise<void> {
  const { size } = statSync(source)
  const progress = new Progress(io.stderr, basename(source))
  try {
    await put(io, root, place, createReadStream(source, { highWaterMark: CHUNK }), done => progress.at(done, size))
  } finally {
    progress.end()
  }
}

/**
 * Downloads into PLACE.part and renames it when the file is complete, so that a partial download never looks like a
 * whole file.
 */
async function download(io: Invocation, root: Fid, source: string, place: string): Promise<void> {
  const progress = new Progress(io.stderr, basename(source))
  const beside = `${resolve(place)}.part`
  const file = createWriteStream(beside)
  let failed: Error | undefined
  file.on('error', error => {
    failed = error
  })
  try {
    await withFile(root, io.names(source), OREAD, io.signal, async fid => {
      const total = Number((await fid.stat(io.signal)).length)
      let done = 0
      await drain(
        fid,
        async data => {
          await write(file, data)
          if (failed) throw failed
          progress.at((done += data.length), total)
        },
        io.signal,
      )
    })
    await new Promise<void>((done, reject) =>
      file.end((error?: Error | null) => ((error ?? failed) ? reject(error ?? failed) : done())),
    )
    await rename(beside, place)
  } catch (error) {
    file.destroy()
    await rm(beside, { force: true })
    throw error
  } finally {
    progress.end()
  }
}

/** Copies one file of the server to another. */
async function relay(io: Invocation, root: Fid, source: string, place: string): Promise<void> {
  await withFile(root, io.names(source), OREAD, io.signal, async fid => {
    const chunks = async function* () {
      for (let offset = 0; ; ) {
        const data = await fid.read(offset, CHUNK, io.signal)
        if (data.length === 0) return
        offset += data.length
        yield data
      }
    }
    await put(io, root, place, chunks(), () => {})
  })
}
