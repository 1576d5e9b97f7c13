/** The 9P operations: what the server does for each type of request. */

import { measured, toGetattr, toStat, type Wanted, wantedOfSetattr, wantedOfStat } from '../base/attributes.js'
import type { Clock } from '../base/clock.js'
import { fail } from '../base/errors.js'
import type { Holding } from '../base/holding.js'
import { FID_BYTES, IOHDRSZ, MAXWELEM } from '../base/limits.js'
import { andThen, type MaybePromise } from '../base/maybe-promise.js'
import type { Context, File, Opened, User } from '../file.js'
import { newQid } from '../file.js'
import { checkName, type Msg, type ReplyOf, type TMessage } from '../wire/message.js'
import {
  type Dialect,
  DMDIR,
  NOFID,
  OEXEC,
  ORCLOSE,
  OREAD,
  OTRUNC,
  OWRITE,
  type Qid,
  QTAUTH,
} from '../wire/protocol.js'
import { type Attaching, parseAname } from './attach.js'
import { readDirents, readStats } from './directory.js'
import { checked, FidState, isDirectory, type PathNode, R, step, W, X } from './fid.js'
import { type Fids, NOBODY } from './fids.js'

/** The part of a session that the operations use. */
export interface ConnectionState {
  readonly dialect: Dialect
  readonly msize: number
  readonly fids: Fids
  readonly clock: Clock
  /** Resolves a Tattach to a tree and a user. */
  attach(who: Attaching): MaybePromise<{ root: File; user: User }>
  /** Names of the attach options that `attach` takes. */
  readonly attachOptions: readonly string[]
  /** Checks a token. Absent if no token is required. */
  readonly authenticate: ((token: string, uname: string) => MaybePromise<User>) | undefined
  /** The user that the connection itself has proved. */
  readonly user: User | undefined
  /** Returns the holding that counts the memory of one fid of that user; undefined if memory is not counted. */
  hold(user: User): Holding | undefined
}

/** A request as its operation sees it. It serves as the Context once its fid has determined the user. */
export interface Request {
  user: User | undefined
  fid: FidState | undefined
  /** The fid that the request creates, which is removed if the request is given up. */
  making: { number: number; fid: FidState } | undefined
  /** True once the request was given up: the operation must release what it obtains. */
  readonly dropped: boolean
  readonly signal: AbortSignal
  whenAborted(call: () => void): void
  /**
   * Counts bytes that a pending answer may bring, so that many such answers stay bounded. Counts once for each request.
   */
  reserve(bytes: number, answer: Promise<unknown>): void
}

type Body<T extends TMessage['type']> = Omit<ReplyOf<T>, 'tag' | 'type'>
type Operation<T extends TMessage['type']> = (
  host: ConnectionState,
  m: Msg<T>,
  request: Request,
) => MaybePromise<Body<T>>
type Operations = { [T in Exclude<TMessage['type'], 'Tversion' | 'Tflush'>]: Operation<T> }

const AT_REMOVEDIR = 0x200
/** Linux open flags of a Tlopen (9P2000.L uses the x86 values on every machine). */
const O = { ACCMODE: 3, TRUNC: 0o1000, DIRECTORY: 0o200000, CREAT: 0o100 }

function find(host: ConnectionState, number: number, request: Request): FidState {
  const fid = host.fids.get(number)
  if (!fid || fid.busy) throw fail('unknownFid', number)
  request.user = fid.user
  request.fid = fid
  return fid
}

function placeOf(fid: FidState): PathNode {
  if (!fid.place) throw fail('badArgument', 'an auth fid is not a file')
  return fid.place
}

function context(request: Request): Context {
  return request as Context
}

function add(host: ConnectionState, number: number, fid: FidState, request: Request): FidState {
  if (number === NOFID || host.fids.has(number)) throw fail('fidInUse', number)
  host.fids.admit(fid.user)
  host.fids.set(number, fid)
  request.making = { number, fid }
  return fid
}

/**
 * Runs `begin`, which may wait, while no other request may use the fid. Then releases the fid and runs `commit` in one
 * synchronous step.
 */
function exclusively<T, U>(fid: FidState, begin: () => MaybePromise<T>, commit: (value: T) => U): MaybePromise<U> {
  fid.busy = true
  const done = (value: T): U => {
    fid.busy = false
    return commit(value)
  }
  const failed = (error: unknown): never => {
    fid.busy = false
    throw error
  }
  let value: MaybePromise<T>
  try {
    value = begin()
  } catch (error) {
    return failed(error)
  }
  return value instanceof Promise ? value.then(done, failed) : done(value)
}

/** Runs `begin`, and `undo` if that fails, at once or later. */
function orUndo<T>(begin: () => MaybePromise<T>, undo: () => void): MaybePromise<T> {
  const failed = (error: unknown): never => {
    undo()
    throw error
  }
  try {
    const value = begin()
    return value instanceof Promise ? value.catch(failed) : value
  } catch (error) {
    return failed(error)
  }
}

/** Remembers a call on an open file until it returns, so that a clunk can abort and await it. */
function tracked<T>(fid: FidState, answer: MaybePromise<T>): MaybePromise<T> {
  if (!(answer instanceof Promise)) return answer
  fid.pending.add(answer)
  const forget = () => fid.pending.delete(answer)
  answer.then(forget, forget)
  return answer
}

/** Starts counting the memory of a fid. @throws FsError if its user has no room for one more */
function held(host: ConnectionState, fid: FidState): FidState {
  const holding = host.hold(fid.user)
  holding?.grow(FID_BYTES)
  fid.holding = holding
  return fid
}

/**
 * Closes a fid's open file and marks the fid as gone. Waits first for the calls that are still pending on the file, so
 * that `close` is the last call that it sees.
 */
export function close(fid: FidState): MaybePromise<void> {
  fid.gone = true
  const { opened } = fid
  fid.opened = undefined
  const free = () => fid.holding?.free()
  if (!opened?.close) return free()
  let closed: MaybePromise<void>
  try {
    closed = fid.pending.size === 0 ? opened.close() : Promise.allSettled([...fid.pending]).then(() => opened.close!())
  } catch (error) {
    free()
    throw error
  }
  if (closed instanceof Promise) return closed.finally(free)
  free()
}

/**
 * Closes a file that was opened for a fid that is gone by now, or for a request that was given up. If that close fails,
 * there is no one to report the error to.
 */
function tooLate(opened: Opened): never {
  try {
    Promise.resolve(opened.close?.()).catch(() => undefined)
  } catch {}
  throw fail('unknownFid')
}

function openPlace(place: PathNode, mode: number, ctx: Context): MaybePromise<Opened> {
  const { file } = place
  const rwx = mode & 3
  const want = (rwx === OEXEC ? X : rwx === OREAD ? R : rwx === OWRITE ? W : R | W) | (mode & OTRUNC ? W : 0)
  // open(5): a directory can be neither written nor truncated
  if (isDirectory(file) && ((rwx !== OREAD && rwx !== OEXEC) || mode & OTRUNC)) throw fail('isDirectory')
  return andThen(checked(file, isDirectory(file) ? R : want, ctx), () => file.open(mode & (3 | OTRUNC), ctx))
}

function open(fid: FidState, mode: number, request: Request): MaybePromise<Qid> {
  const place = placeOf(fid)
  if (fid.opened) throw fail('fidInUse', 'already open')
  if (mode & ORCLOSE && !permitsRemove(place)) throw fail('permission')
  return exclusively(
    fid,
    () => openPlace(place, mode, context(request)),
    opened => {
      if (fid.gone || request.dropped) return tooLate(opened)
      fid.opened = opened
      fid.mode = mode
      return place.file.qid
    },
  )
}

const permitsRemove = (place: PathNode) => place.parent !== undefined && place.file.remove !== undefined

function remove(place: PathNode, ctx: Context): MaybePromise<void> {
  if (!permitsRemove(place)) throw fail('permission')
  return andThen(checked(place.parent!.file, W, ctx), () => place.file.remove!(ctx))
}

function create(fid: FidState, name: string, perm: number, mode: number, request: Request): MaybePromise<Qid> {
  const place = placeOf(fid)
  const ctx = context(request)
  checkName(name)
  if (fid.opened) throw fail('fidInUse', 'already open')
  if (!isDirectory(place.file)) throw fail('notDirectory')
  if (name === '.' || name === '..') throw fail('exists')
  return exclusively(
    fid,
    () =>
      andThen(checked(place.file, W | X, ctx), () => {
        if (!place.file.create) throw fail('permission')
        return place.file.create(name, perm, mode, ctx)
      }),
    ({ file, opened }) => {
      if (fid.gone || request.dropped) return tooLate(opened)
      fid.place = { file, name, parent: place }
      fid.opened = opened
      fid.mode = mode
      return file.qid
    },
  )
}

/** Applies a wstat or setattr. Checks everything before it changes anything. */
function change(fid: FidState, wanted: Wanted, ctx: Context): MaybePromise<void> {
  const place = placeOf(fid)
  const { file, parent } = place
  const { name, length } = wanted
  if (wanted.owner) throw fail('notPermitted', 'the owner of a file cannot be changed')
  if (wanted.mode) throw fail('notPermitted', 'the mode of a file cannot be changed')
  if (name !== undefined) {
    checkName(name)
    if (!parent || !file.change) throw fail('notPermitted', 'this file cannot be renamed')
  }
  if (length !== undefined && isDirectory(file)) throw fail('isDirectory')
  if (length && !file.change) throw fail('notPermitted', 'a file can only be truncated to length 0')
  const mayWrite = length === undefined && !wanted.other ? file : checked(file, isDirectory(file) ? X : W, ctx)
  return andThen(mayWrite, () =>
    andThen(name === undefined ? file : checked(parent!.file, W, ctx), () => {
      const first = length === 0 ? file.truncate?.(ctx) : undefined
      return andThen(first, () => {
        if (name === undefined && !length) return
        const changes = { ...(name !== undefined && { name }), ...(length && { length }) }
        return andThen(file.change!(changes, ctx), () => {
          if (name !== undefined) fid.place = { file, name, parent }
        })
      })
    }),
  )
}

function statOf(fid: FidState, ctx: Context) {
  const { file, name } = placeOf(fid)
  return andThen(file.attributes(ctx), attributes => toStat(name, file.qid, attributes))
}

/** The stat that a client is sent: its length is that of the content to read. */
function measuredStat(fid: FidState, ctx: Context, clock: Clock) {
  const { file, name } = placeOf(fid)
  return andThen(measured(file, ctx, clock, fid.opened), attributes => toStat(name, file.qid, attributes))
}

function sync(fid: FidState, ctx: Context): MaybePromise<void> {
  return fid.opened?.sync ? tracked(fid, fid.opened.sync(ctx)) : undefined
}

const empty = new Uint8Array(0)

const unsupported = () => {
  throw fail('notSupported')
}

/**
 * The operation of each request type. The session has checked that the dialect has the message and that a Tversion was
 * answered.
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

  Tlopen(host, m, request) {
    const fid = find(host, m.fid, request)
    if (m.flags & O.DIRECTORY && !isDirectory(placeOf(fid).file)) throw fail('notDirectory')
    const mode = (m.flags & O.ACCMODE) | (m.flags & O.TRUNC ? OTRUNC : 0)
    return andThen(open(fid, mode, request), qid => ({ qid, iounit: host.msize - IOHDRSZ }))
  },

  Tcreate(host, m, request) {
    const fid = find(host, m.fid, request)
    return andThen(create(fid, m.name, m.perm, m.mode, request), qid => ({ qid, iounit: host.msize - IOHDRSZ }))
  },

  Tlcreate(host, m, request) {
    const fid = find(host, m.fid, request)
    const mode = (m.flags & O.ACCMODE) | (m.flags & O.TRUNC ? OTRUNC : 0)
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
