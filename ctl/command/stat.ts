import { record } from '../../fs/quote.js'
import type { Run } from '../common/command.js'
import { named } from '../common/files.js'
import { modeText } from '../common/listing.js'
import { shown } from '../common/npath.js'

export const run: Run = async (io, args) => {
  const { root, client } = await io.connect()
  for (const path of args) {
    const names = io.names(path)
    const stat = await named(names, async () => {
      const fid = await root.walk(names, io.signal)
      return fid.stat(io.signal).finally(() => fid.clunk().catch(() => {}))
    })
    const { type, version, path: id } = stat.qid
    await io.print(
      `${record(shown(names), {
        mode: modeText(stat),
        perm: (stat.mode & 0o777).toString(8).padStart(4, '0'),
        uid: stat.uid,
        gid: stat.gid,
        length: stat.length,
        mtime: new Date(stat.mtime * 1000).toISOString(),
        atime: new Date(stat.atime * 1000).toISOString(),
        qid: `${id}.${version}.${type.toString(16)}`,
      })}\n`,
    )
  }
  client.close()
}
