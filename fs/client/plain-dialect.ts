/** A client's use of a file in 9P2000 and 9P2000.u, which differ only in the fields of some messages. */
import { untouched } from '../base/attributes.js'
import { bareStat, type Cursor } from '../wire/field.js'
import type { Stat } from '../wire/protocol.js'
import type { FileOperations } from './dialect.js'

export const plainDialect: FileOperations = {
  asksBehindWalk: true,

  open: (file, mode, signal) => file.rpc({ type: 'Topen', fid: file.fid, mode }, signal),

  async create(dir, name, perm, mode, _gid, signal) {
    const opening = await dir.rpc({ type: 'Tcreate', fid: dir.fid, name, perm, mode }, signal)
    dir.moved([...dir.position.names, name])
    return opening
  },

  stat: async (file, signal) => (await file.rpc({ type: 'Tstat', fid: file.fid }, signal)).stat,

  async wstat(file, changes, signal) {
    await file.rpc({ type: 'Twstat', fid: file.fid, stat: { ...untouched(), ...changes } }, signal)
  },

  /** A wstat that changes nothing (stat(5)). */
  sync: (file, signal) => plainDialect.wstat(file, {}, signal),

  async finish(file, signal) {
    if (file.client.ours === undefined) await plainDialect.stat(file, signal)
    if (file.client.ours) await plainDialect.sync(file, signal)
  },

  async list(dir, offset, count, signal) {
    const { data } = await dir.rpc({ type: 'Tread', fid: dir.fid, offset, count }, signal)
    const entries: Stat[] = []
    const c: Cursor = { bytes: data, at: 0 }
    while (c.at < data.length) entries.push(bareStat.get(c, dir.client.dialect))
    return { entries, next: offset + BigInt(data.length), bytes: data.length }
  },

  stats: async (_dir, entries) => entries,

  remove: (_file, end) => end('Tremove'),
}
