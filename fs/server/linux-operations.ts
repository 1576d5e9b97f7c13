/** The operations that only 9P2000.L has. */
import { measured, toGetattr, wantedOfSetattr } from '../base/attributes.js'
import { fail } from '../base/errors.js'
import { IOHDRSZ } from '../base/limits.js'
import { andThen } from '../base/maybe-promise.js'
import { AT_REMOVEDIR, O_DIRECTORY, openMode } from '../wire/linux.js'
import { DMDIR, OREAD } from '../wire/protocol.js'
import type { Operations } from './connection.js'
import { readDirents } from './directory.js'
import { FidState, isDirectory, step } from './fid.js'
import {
  change,
  close,
  context,
  create,
  exclusively,
  find,
  open,
  placeOf,
  remove,
  statOf,
  sync,
  tracked,
} from './fid-actions.js'

const unsupported = () => {
  throw fail('notSupported')
}

export const linuxOperations = {
  Tlopen(host, m, request) {
    const fid = find(host, m.fid, request)
    if (m.flags & O_DIRECTORY && !isDirectory(placeOf(fid).file)) throw fail('notDirectory')
    const mode = openMode(m.flags)
    return andThen(open(fid, mode, request), qid => ({ qid, iounit: host.msize - IOHDRSZ }))
  },

  Tlcreate(host, m, request) {
    const fid = find(host, m.fid, request)
    const mode = openMode(m.flags)
    return andThen(create(fid, m.name, m.mode & 0o777, mode, request), qid => ({
      qid,
      iounit: host.msize - IOHDRSZ,
    }))
  },

  Tmkdir(host, m, request) {
    const parent = find(host, m.dfid, request)
    // the parent's fid must not move: the directory is created through a temporary fid
    const own = new FidState(parent.user, false)
    own.place = placeOf(parent)
    return andThen(create(own, m.name, (DMDIR | (m.mode & 0o777)) >>> 0, OREAD, request), qid => {
      return andThen(close(own), () => ({ qid }))
    })
  },

  Tstatfs(host, m, request) {
    placeOf(find(host, m.fid, request))
    const none = { blocks: 0n, bfree: 0n, bavail: 0n, files: 0n, ffree: 0n, fsid: 0n }
    return { fstype: 0x01021997, bsize: 4096, ...none, namelen: 255 }
  },

  Tgetattr(host, m, request) {
    const fid = find(host, m.fid, request)
    const { file } = placeOf(fid)
    return andThen(measured(file, context(request), host.clock, fid.opened), a =>
      toGetattr(file.qid, a, host.msize - IOHDRSZ),
    )
  },

  Tsetattr(host, m, request) {
    const fid = find(host, m.fid, request)
    const ctx = context(request)
    return andThen(statOf(fid, ctx), now => andThen(change(fid, wantedOfSetattr(m, now), ctx), () => ({})))
  },

  Treaddir(host, m, request) {
    const fid = find(host, m.fid, request)
    if (!fid.opened) throw fail('notOpen')
    if (!isDirectory(placeOf(fid).file)) throw fail('notDirectory')
    const count = Math.min(m.count, host.msize - 11)
    const read = () => readDirents(fid, m.offset, count, context(request))
    return andThen(
      tracked(
        fid,
        exclusively(fid, read, data => data),
      ),
      data => ({ data }),
    )
  },

  Tfsync(host, m, request) {
    const fid = find(host, m.fid, request)
    if (!fid.opened) throw fail('notOpen')
    return andThen(sync(fid, context(request)), () => ({}))
  },

  Trename(host, m, request) {
    const fid = find(host, m.fid, request)
    const into = placeOf(find(host, m.dfid, request))
    if (placeOf(fid).parent?.file !== into.file)
      throw fail('notPermitted', 'a file cannot be moved to another directory')
    return andThen(change(fid, { name: m.name }, context(request)), () => ({}))
  },

  Trenameat(host, m, request) {
    const from = placeOf(find(host, m.olddirfid, request))
    const into = placeOf(find(host, m.newdirfid, request))
    if (from.file !== into.file) throw fail('notPermitted', 'a file cannot be moved to another directory')
    const ctx = context(request)
    return andThen(step(from, m.oldname, ctx), place => {
      const own = new FidState(ctx.user, false)
      own.place = place
      return andThen(change(own, { name: m.newname }, ctx), () => ({}))
    })
  },

  Tunlinkat(host, m, request) {
    const from = placeOf(find(host, m.dirfid, request))
    const ctx = context(request)
    return andThen(step(from, m.name, ctx), place => {
      const directory = isDirectory(place.file)
      if (directory && !(m.flags & AT_REMOVEDIR)) throw fail('isDirectory')
      if (!directory && m.flags & AT_REMOVEDIR) throw fail('notDirectory')
      return andThen(remove(place, ctx), () => ({}))
    })
  },

  Tsymlink: unsupported,
  Tmknod: unsupported,
  Treadlink: unsupported,
  Txattrwalk: unsupported,
  Txattrcreate: unsupported,
  Tlock: unsupported,
  Tgetlock: unsupported,
  Tlink: unsupported,
} satisfies Partial<Operations>
