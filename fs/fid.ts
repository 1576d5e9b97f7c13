import { fail } from './errors.js'
import type { Attributes, Context, Entry, File, Opened, User } from './file.js'
import type { Holding } from './holding.js'
import { chain, type Maybe } from './maybe.js'
import { QTDIR } from './protocol.js'

/** A file and how it was reached: what `..` and a file's name need. Immutable; a fid changes by being given another. */
export interface Place {
  readonly file: File
  readonly name: string
  /** Undefined at the root of the attach. */
  readonly parent: Place | undefined
}

/** A file's path from the root of its attach, such as `session/7/data`. */
export function pathOf(place: Place | undefined): string {
  const names: string[] = []
  for (let at = place; at?.parent; at = at.parent) names.unshift(at.name)
  return names.join('/')
}

/** The auth file behind an afid: one write, of a token; the user it proved. */
export interface AuthFile {
  readonly uname: string
  readonly aname: string
  user: User | undefined
}

/** What the server holds for one fid of a client. Its state changes synchronously, never across an await. */
export class FidState {
  place: Place | undefined
  opened: Opened | undefined
  /** open(5)'s mode, once open. */
  mode = 0
  auth: AuthFile | undefined
  /** An attach, walk, open or create that has begun on it and not ended: nothing else may use it. */
  busy = false
  /** Clunked: what an operation under way gets, it must give up again. */
  gone = false
  /** A directory's entries, as they were when it was read from the start, and the offset the next read must have. */
  entries: Entry[] | undefined
  next = { index: 0, offset: 0 }
  /** With `?chunk`: whether the next read of a stream is to be answered with nothing. */
  boundary = false
  /** Calls on `opened` that have not answered yet. */
  readonly pending = new Set<Promise<unknown>>()
  /** The memory that it and its open file keep. */
  holding: Holding | undefined

  constructor(
    readonly user: User,
    readonly chunked: boolean,
  ) {}
}

export function isDirectory(file: File): boolean {
  return (file.qid.type & QTDIR) !== 0
}

/** What a user wants of a file: the bits of one rwx group. */
export const R = 4
export const W = 2
export const X = 1

/** Whether the mode bits let a user do what he wants: owner, then admins as the group, then the rest. Role `read` never writes. */
export function permits(attributes: Attributes, user: User, want: number): boolean {
  if (user.role === 'read' && want & W) return false
  const { mode, owner } = attributes
  const bits = user.name === owner.name ? mode >> 6 : user.role === 'admin' ? mode >> 3 : mode
  return (bits & want) === want
}

/** Answers with the file if its mode bits let the user in, or are not ours to look at; else fails `permission denied`. */
export function checked(file: File, want: number, ctx: Context): Maybe<File> {
  if (file.decided) return file
  return chain(file.attributes(ctx), attributes => {
    if (!permits(attributes, ctx.user, want)) throw fail('permission')
    return file
  })
}

/** One step of a walk, from a directory the user may search. */
export function step(from: Place, name: string, ctx: Context): Maybe<Place> {
  if (name === '..') return from.parent ?? from
  if (name === '.') return from
  if (!isDirectory(from.file) || !from.file.walk) throw fail('notDirectory')
  return chain(checked(from.file, X, ctx), () =>
    chain(from.file.walk!(name, ctx), file => {
      if (!file) throw fail('notFound')
      return { file, name, parent: from }
    }),
  )
}
