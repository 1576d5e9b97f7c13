/** What several requests do with a fid: find, add, open, create, remove, change and close it, one at a time. */
import { measured, toStat, type Wanted } from '../base/attributes.js'
import type { Clock } from '../base/clock.js'
import { fail } from '../base/errors.js'
import { FID_BYTES } from '../base/limits.js'
import { andThen, type MaybePromise } from '../base/maybe-promise.js'
import type { Context, Opened } from '../file.js'
import { checkName } from '../wire/message.js'
import { NOFID, OEXEC, ORCLOSE, OREAD, OTRUNC, OWRITE, type Qid } from '../wire/protocol.js'
import type { ConnectionState, Request } from './connection.js'
import { checked, type FidState, isDirectory, type PathNode, R, W, X } from './fid.js'

export function find(host: ConnectionState, number: number, request: Request): FidState {
  const fid = host.fids.get(number)
  if (!fid || fid.busy) throw fail('unknownFid', number)
  request.user = fid.user
  request.fid = fid
  return fid
}

export function placeOf(fid: FidState): PathNode {
  if (!fid.place) throw fail('badArgument', 'an auth fid is not a file')
  return fid.place
}

export function context(request: Request): Context {
  return request as Context
}

export function add(host: ConnectionState, number: number, fid: FidState, request: Request): FidState {
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
export function exclusively<T, U>(
  fid: FidState,
  begin: () => MaybePromise<T>,
  commit: (value: T) => U,
): MaybePromise<U> {
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
export function orUndo<T>(begin: () => MaybePromise<T>, undo: () => void): MaybePromise<T> {
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
export function tracked<T>(fid: FidState, answer: MaybePromise<T>): MaybePromise<T> {
  if (!(answer instanceof Promise)) return answer
  fid.pending.add(answer)
  const forget = () => fid.pending.delete(answer)
  answer.then(forget, forget)
  return answer
}

/** Starts counting the memory of a fid. @throws FsError if its user has no room for one more */
export function held(host: ConnectionState, fid: FidState): FidState {
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

export function open(fid: FidState, mode: number, request: Request): MaybePromise<Qid> {
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

export function remove(place: PathNode, ctx: Context): MaybePromise<void> {
  if (!permitsRemove(place)) throw fail('permission')
  return andThen(checked(place.parent!.file, W, ctx), () => place.file.remove!(ctx))
}

export function create(fid: FidState, name: string, perm: number, mode: number, request: Request): MaybePromise<Qid> {
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
export function change(fid: FidState, wanted: Wanted, ctx: Context): MaybePromise<void> {
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

export function statOf(fid: FidState, ctx: Context) {
  const { file, name } = placeOf(fid)
  return andThen(file.attributes(ctx), attributes => toStat(name, file.qid, attributes))
}

/** The stat that a client is sent: its length is that of the content to read. */
export function measuredStat(fid: FidState, ctx: Context, clock: Clock) {
  const { file, name } = placeOf(fid)
  return andThen(measured(file, ctx, clock, fid.opened), attributes => toStat(name, file.qid, attributes))
}

export function sync(fid: FidState, ctx: Context): MaybePromise<void> {
  return fid.opened?.sync ? tracked(fid, fid.opened.sync(ctx)) : undefined
}
