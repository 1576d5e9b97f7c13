/** The server's state of one fid, and the walking and permission checks that operations.ts does on it. */
import { fail } from '../base/errors.js'
import type { Holding } from '../base/holding.js'
import { andThen, type MaybePromise } from '../base/maybe-promise.js'
import type { Attributes, Context, Entry, File, Opened, User } from '../file.js'
import { QTDIR } from '../wire/protocol.js'

/**
 * A file and the path by which it was reached, which `..` and the file's name need. Immutable: a fid moves by being
 * assigned another.
 */
export interface PathNode {
  readonly file: File
  readonly name: string
  /** Undefined at the root of the attach. */
  readonly parent: PathNode | undefined
}

/** A file's path from the root of its attach, such as `session/7/data`. */
export function pathOf(place: PathNode | undefined): string {
  const names: string[] = []
  for (let at = place; at?.parent; at = at.parent) names.unshift(at.name)
  return names.join('/')
}

/** The auth file behind an afid: it takes one write, of a token, and holds the user that the token proved. */
export interface AuthFile {
  readonly uname: string
  readonly aname: string
  user: User | undefined
}

/** The server's state of one fid of a client. It changes synchronously, never across an await. */
export class FidState {
  place: PathNode | undefined
  opened: Opened | undefined
  /** open(5)'s mode, once open. */
  mode = 0
  auth: AuthFile | undefined
  /** True while an attach, walk, open or create is in progress on the fid: no other request may use it. */
  busy = false
  /** True once the fid is clunked: an operation in progress must release what it obtains. */
  gone = false
  /** A directory's entries, as they were when it was read from offset 0. */
  entries: Entry[] | undefined
  /** Where the next read of the directory must continue. */
  next = { index: 0, offset: 0 }
  /** With `?chunk`: whether to answer the next read of a stream with no data. */
  boundary = false
  /** Calls on `opened` that have not returned yet. */
  readonly pending = new Set<Promise<unknown>>()
  /** Counts the memory that the fid and its open file keep. */
  holding: Holding | undefined

  constructor(
    readonly user: User,
    readonly chunked: boolean,
  ) {}
}

export function isDirectory(file: File): boolean {
  return (file.qid.type & QTDIR) !== 0
}

/** The access that a request needs, as the bits of one rwx group. */
export const R = 4
export const W = 2
export const X = 1

/**
 * Whether the mode bits grant the user the access: the owner's bits, else for an admin the group's, else everyone's.
 * Role `read` never writes.
 */
export function permits(attributes: Attributes, user: User, want: number): boolean {
  if (user.role === 'read' && want & W) return false
  const { mode, owner } = attributes
  const bits = user.name === owner.name ? mode >> 6 : user.role === 'admin' ? mode >> 3 : mode
  return (bits & want) === want
}

/**
 * Returns the file if its mode bits grant access or if another server decides (`File.decided`).
 * @throws FsError `permission denied`
 */
export function checked(file: File, want: number, ctx: Context): MaybePromise<File> {
  if (file.decided) return file
  return andThen(file.attributes(ctx), attributes => {
    if (!permits(attributes, ctx.user, want)) throw fail('permission')
    return file
  })
}

/**
 * Walks one name, from a directory that the user must be allowed to search.
 * @throws FsError `not a directory`, `permission denied` or `file does not exist`
 */
export function step(from: PathNode, name: string, ctx: Context): MaybePromise<PathNode> {
  if (name === '..') return from.parent ?? from
  if (name === '.') return from
  if (!isDirectory(from.file) || !from.file.walk) throw fail('notDirectory')
  return andThen(checked(from.file, X, ctx), () =>
    andThen(from.file.walk!(name, ctx), file => {
      if (!file) throw fail('notFound')
      return { file, name, parent: from }
    }),
  )
}
