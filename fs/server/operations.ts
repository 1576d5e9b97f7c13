/** The 9P operations: what the server does for each type of request. Those of 9P2000.L are in linux-operations.ts. */

import { wantedOfStat } from '../base/attributes.js'
import { fail } from '../base/errors.js'
import { IOHDRSZ, MAXWELEM } from '../base/limits.js'
import { andThen, type MaybePromise } from '../base/maybe-promise.js'
import type { User } from '../file.js'
import { newQid } from '../file.js'
import { checkName } from '../wire/message.js'
import { NOFID, OEXEC, ORCLOSE, OREAD, OWRITE, type Qid, QTAUTH } from '../wire/protocol.js'
import { parseAname } from './attach.js'
import type { ConnectionState, Operations } from './connection.js'
import { readStats } from './directory.js'
import { FidState, isDirectory, type PathNode, step } from './fid.js'
import {
  add,
  change,
  close,
  context,
  create,
  exclusively,
  find,
  held,
  measuredStat,
  open,
  orUndo,
  placeOf,
  remove,
  statOf,
  sync,
  tracked,
} from './fid-actions.js'
import { NOBODY } from './fids.js'
import { linuxOperations } from './linux-operations.js'

const empty = new Uint8Array(0)

/**
 * The operation of each request type. The connection has checked that the dialect has the message and that a Tversion
 * was answered.
 */
export const operations: Operations = {
  Tauth(host, m, request) {
    if (!host.authenticate || host.user) throw fail('noAuth')
    const nobody: User = { name: NOBODY, uid: m.n_uname ?? NOFID, role: 'read' }
    const fid = add(host, m.afid, new FidState(nobody, false), request)
    request.fid = fid
    fid.auth = { uname: m.uname, aname: m.aname, user: undefined }
    return { aqid: newQid(QTAUTH) }
  },

  Tattach(host, m, request) {
    let user = host.user
    if (host.authenticate && !user) {
      const auth = m.afid === NOFID ? undefined : host.fids.get(m.afid)?.auth
      // attach(5): the afid must have been made for this user and this tree
      if (!auth?.user || auth.uname !== m.uname || auth.aname !== m.aname) throw fail('authRequired')
      user = auth.user
    }
    // uname becomes the owner of files and appears in records, so it must be a valid file name: bounded, without
    // control characters
    if (m.uname !== '') checkName(m.uname)
    const { names, chunked, options } = parseAname(m.aname, host.attachOptions)
    const who = { uname: m.uname, n_uname: m.n_uname ?? NOFID, aname: m.aname, options, ...(user && { user }) }
    const reserved = add(host, m.fid, new FidState({ name: NOBODY, uid: NOFID, role: 'read' }, false), request)
    const drop = () => {
      if (host.fids.get(m.fid) === reserved) host.fids.delete(m.fid)
    }
    const begin = () =>
      andThen(host.attach(who), ({ root, user }) => {
        request.user = user
        const ctx = context(request)
        const walk = (place: PathNode, i: number): MaybePromise<PathNode> =>
          i === names.length ? place : andThen(step(place, names[i]!, ctx), next => walk(next, i + 1))
        return andThen(walk({ file: root, name: '/', parent: undefined }, 0), place => ({ place, user }))
      })
    const commit = ({ place, user }: { place: PathNode; user: User }) => {
      if (host.fids.get(m.fid) !== reserved) throw fail('unknownFid')
      const fid = held(host, new FidState(user, chunked))
      // the attached subtree's own root: `..` does not lead out of it
      fid.place = { file: place.file, name: '/', parent: undefined }
      host.fids.set(m.fid, fid)
      return { qid: place.file.qid }
    }
    return orUndo(() => exclusively(reserved, begin, commit), drop)
  },

  Twalk(host, m, request) {
    const fid = find(host, m.fid, request)
    if (m.wname.length > MAXWELEM) throw fail('badArgument', `${m.wname.length} names, at most ${MAXWELEM}`)
    for (const name of m.wname) checkName(name)
    const start = placeOf(fid)
    // walk(5) forbids a walk from an open fid. Cloning one is harmless, and some clients do it. Servers of 9P2000.L
    // allow the walk, too: diodls -l walks from the open directory to each name that it has read.
    if (fid.opened && m.wname.length > 0 && host.dialect !== '9P2000.L')
      throw fail('fidInUse', 'cannot walk from an open fid')
    if (fid.opened && m.fid === m.newfid) throw fail('fidInUse', 'already open')
    const same = m.fid === m.newfid
    const target = same ? fid : add(host, m.newfid, new FidState(fid.user, fid.chunked), request)
    const abandon = () => {
      if (same) return
      target.holding?.free()
      if (host.fids.get(m.newfid) === target) host.fids.delete(m.newfid)
    }
    const ctx = context(request)
    const wqid: Qid[] = []
    const walk = (place: PathNode): MaybePromise<PathNode | undefined> => {
      while (wqid.length < m.wname.length) {
        let next: MaybePromise<PathNode>
        try {
          next = step(place, m.wname[wqid.length]!, ctx)
        } catch (error) {
          return stopped(error)
        }
        if (next instanceof Promise) return next.then(arrived, stopped)
        wqid.push(next.file.qid)
        place = next
      }
      return place
    }
    const arrived = (place: PathNode) => {
      wqid.push(place.file.qid)
      return walk(place)
    }
    // walk(5): if the first name fails, so does the walk; if a later one fails, the reply has fewer qids and newfid is
    // not created
    const stopped = (error: unknown): undefined => {
      if (wqid.length === 0 || ctx.signal.aborted) throw error
      return undefined
    }
    const finish = (place: PathNode | undefined) => {
      if (!place) abandon()
      else if (target.gone || request.dropped) throw fail('unknownFid')
      else target.place = place
      return { wqid }
    }
    return orUndo(() => {
      if (!same) held(host, target)
      return exclusively(target, () => walk(start), finish)
    }, abandon)
  },

  Topen(host, m, request) {
    const fid = find(host, m.fid, request)
    return andThen(open(fid, m.mode, request), qid => ({ qid, iounit: host.msize - IOHDRSZ }))
  },

  Tcreate(host, m, request) {
    const fid = find(host, m.fid, request)
    return andThen(create(fid, m.name, m.perm, m.mode, request), qid => ({ qid, iounit: host.msize - IOHDRSZ }))
  },

  Tread(host, m, request) {
    const fid = find(host, m.fid, request)
    if (fid.auth) return { data: empty }
    const { opened } = fid
    if (!opened || (fid.mode & 3) === OWRITE) throw fail('notOpen')
    const count = Math.min(m.count, host.msize - 11)
    if (m.offset > BigInt(Number.MAX_SAFE_INTEGER)) throw fail('badOffset')
    const offset = Number(m.offset)
    const ctx = context(request)
    if (isDirectory(placeOf(fid).file)) {
      if (host.dialect === '9P2000.L') throw fail('isDirectory')
      return andThen(
        tracked(
          fid,
          exclusively(
            fid,
            () => readStats(fid, offset, count, host.dialect, ctx, host.clock),
            data => data,
          ),
        ),
        data => ({ data }),
      )
    }
    if (!opened.read) throw fail('permission')
    if (count === 0) return { data: empty }
    if (fid.boundary) {
      fid.boundary = false
      return { data: empty }
    }
    const answer = opened.read(offset, count, ctx)
    if (answer instanceof Promise && !opened.stream) request.reserve(count, answer)
    return andThen(tracked(fid, answer), data => {
      // after a read that returned all it asked for, no boundary: its reader would take an empty read for the end of
      // the file
      if (fid.chunked && opened.stream && data.length > 0 && data.length < count) fid.boundary = true
      // v9fs tears down the whole mount if a reply is longer than it asked for
      return { data: data.length > count ? data.subarray(0, count) : data }
    })
  },

  Twrite(host, m, request) {
    const fid = find(host, m.fid, request)
    if (fid.auth) return writeToken(host, fid, m.data)
    const { opened } = fid
    if (!opened || (fid.mode & 3) === OREAD || (fid.mode & 3) === OEXEC) throw fail('notOpen')
    if (!opened.write) throw fail('permission')
    if (m.offset > BigInt(Number.MAX_SAFE_INTEGER)) throw fail('badOffset')
    return andThen(tracked(fid, opened.write(Number(m.offset), m.data, context(request))), count => ({ count }))
  },

  Tclunk(host, m, request) {
    const fid = host.fids.get(m.fid)
    if (!fid) throw fail('unknownFid', m.fid)
    request.user = fid.user
    host.fids.delete(m.fid)
    const { place, mode } = fid
    const closed = close(fid)
    if (!(mode & ORCLOSE) || !place) return andThen(closed, () => ({}))
    // clunk(5): remove on close; the errors of that are not reported
    const removed = () => Promise.resolve(remove(place, context(request))).catch(() => undefined)
    return Promise.resolve(closed)
      .then(removed, removed)
      .then(() => ({}))
  },

  Tremove(host, m, request) {
    const fid = host.fids.get(m.fid)
    if (!fid) throw fail('unknownFid', m.fid)
    request.user = fid.user
    // remove(5): a remove is a clunk that also removes the file; the fid is gone even if the remove fails
    host.fids.delete(m.fid)
    const busy = fid.busy
    const { place } = fid
    return andThen(close(fid), () => {
      if (!place || busy) throw fail('unknownFid', m.fid)
      return andThen(remove(place, context(request)), () => ({}))
    })
  },

  Tstat(host, m, request) {
    return andThen(measuredStat(find(host, m.fid, request), context(request), host.clock), stat => ({ stat }))
  },

  Twstat(host, m, request) {
    const fid = find(host, m.fid, request)
    const ctx = context(request)
    return andThen(statOf(fid, ctx), now => {
      const wanted = wantedOfStat(m.stat, now)
      // stat(5): a wstat that changes nothing asks the server to commit the file to storage
      const done = Object.keys(wanted).length === 0 ? sync(fid, ctx) : change(fid, wanted, ctx)
      return andThen(done, () => ({}))
    })
  },

  ...linuxOperations,
}

/** Handles the one write that an auth fid takes: the token. */
function writeToken(host: ConnectionState, fid: FidState, data: Uint8Array): MaybePromise<{ count: number }> {
  const auth = fid.auth!
  const token = new TextDecoder().decode(data).trim()
  return exclusively(
    fid,
    () => host.authenticate!(token, auth.uname),
    user => {
      auth.user = user
      return { count: data.length }
    },
  )
}
