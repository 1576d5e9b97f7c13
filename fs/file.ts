import type { Holding } from './holding.js'
import type { Qid } from './protocol.js'

/**
 * What a tree is made of. The server (server.ts) owns the protocol: fids, tags, walks of many names, permissions,
 * flushes, directory encoding. An author supplies Files, which answer questions about themselves.
 *
 * Guarantees, cited below:
 * - **checked**: the server has checked that the fid exists, is (not) open as the call needs, that names are proper and that
 *   the mode bits let this user in.
 * - **interruptible**: the call may return a promise; when the request is flushed, or its connection goes, `ctx.signal` aborts
 *   and whatever it then answers is dropped. It must not have consumed anything that an unflushed caller would miss.
 * - **ordered**: calls on one Opened begin in the order their requests came. They may overlap where they wait.
 * A call that throws an FsError answers with it; anything else thrown becomes `i/o error` and reaches `onerror`.
 */

/** Who asks. `role` comes from a token or, on a unix socket, from being the server's own user (or root). */
export interface User {
  readonly name: string
  /** The Linux number, or NONUNAME where there is none. */
  readonly uid: number
  readonly role: 'read' | 'use' | 'admin'
  /** Attached by a cluster that we joined: what its requests say of where they come from is believed. */
  readonly relayed?: true
}

/** What every call is given besides its arguments. */
export interface Context {
  readonly user: User
  /** Aborts when the request is flushed or its connection is gone. Made at first use: reading it costs an object. */
  readonly signal: AbortSignal
  /**
   * Has something called when `signal` aborts, or at once if it has: for the one thing that waits in a call, without the cost of a
   * signal. Who makes a context without a server may leave it out.
   */
  whenAborted?(call: () => void): void
  /**
   * Counts bytes that the answer will bring as soon as it is there: a client that asks for much and reads nothing is asked to wait. For a
   * `stream` that has them, on a disk say: what waits for others brings nothing yet, and all other files are counted anyway.
   */
  reserve?(bytes: number, answer: Promise<unknown>): void
  /** Counts the memory that is kept for the fid; freed when the fid is gone. Absent: nobody counts. */
  readonly holding?: Holding | undefined
}

/** A file's owner is a name and a number; the group of every file is the admins, as for `ctl` (0660). */
export interface Owner {
  readonly name: string
  readonly uid: number
  /** The number shown for that group to programs that want one; `uid` unless given. */
  readonly gid?: number
}

export interface Attributes {
  /** Permission bits, 0 to 0o777: for the owner, for admins, for the rest. */
  readonly mode: number
  readonly owner: Owner
  /** Bytes. 0 for directories and for all whose length is not known: never more than a read returns (9p.md 9.3). */
  readonly length: number
  /** Seconds since 1970. */
  readonly mtime: number
  readonly atime: number
}

/** What wstat or setattr wants changed, beyond what the server settles (times, mode bits and truncation to nothing). */
export interface Changes {
  readonly name?: string
  readonly length?: number
}

/** How long a content is now, in bytes, and when it came to be as it is, in seconds since 1970. */
export interface Extent {
  readonly length: number
  readonly mtime: number
}

export interface File {
  /** Stable for the object's life; `path` unique in the server's (see `newQid`); `type` says directory, append-only, file. */
  readonly qid: Qid
  /**
   * Who may do what is decided behind it, by the server of a mounted tree, which knows the user by another name perhaps: its mode bits
   * are shown and not looked at.
   */
  readonly decided?: boolean
  /** Walked to by its name but in no listing: what would hold up a program that reads all it finds. */
  readonly unlisted?: boolean
  /** Interruptible where it waits (a mounted remote tree). */
  attributes(ctx: Context): Attributes | Promise<Attributes>
  /**
   * Of a file whose content is made when somebody asks: its length and time as it is for this user now. A stat and a listing ask,
   * permission checks do not. One that fails leaves what `attributes` say. Interruptible.
   */
  extent?(ctx: Context): Extent | Promise<Extent>
  /** Directories: the child of that name, or undefined. `.` and `..` never come here. Checked, interruptible. */
  walk?(name: string, ctx: Context): File | undefined | Promise<File | undefined>
  /**
   * Opens for OREAD, OWRITE, ORDWR or OEXEC, perhaps with OTRUNC (the low bits as in open(5); ORCLOSE is the server's).
   * Checked, interruptible; if it is flushed while waiting, `close` of what it returns is called.
   */
  open(mode: number, ctx: Context): Opened | Promise<Opened>
  /** Directories: makes and opens a file, or (perm has DMDIR) makes a directory. Absent: `permission denied`. Checked. */
  create?(name: string, perm: number, mode: number, ctx: Context): Created | Promise<Created>
  /** Absent: `permission denied`. Checked (write permission on the directory it is in). */
  remove?(ctx: Context): void | Promise<void>
  /** Sets the length to 0. Absent: accepted and ignored, as synthetic files must (9p.md section 8). Checked. */
  truncate?(ctx: Context): void | Promise<void>
  /** Absent: `permission denied`. Checked. */
  change?(changes: Changes, ctx: Context): void | Promise<void>
}

export interface Created {
  readonly file: File
  readonly opened: Opened
}

/** An open file: what a fid holds between open and clunk. */
export interface Opened {
  /**
   * Up to `count` bytes at `offset` (a safe integer); empty is end of file. May wait; checked, ordered, interruptible.
   * The bytes are sent as they are and must not be changed afterwards.
   */
  read?(offset: number, count: number, ctx: Context): Uint8Array | Promise<Uint8Array>
  /** What the reads of this open give in all, for a stat of its fid. Interruptible. */
  extent?(ctx: Context): Extent | Promise<Extent>
  /** Takes the bytes (a view on the received message: copy what is kept) and returns how many. Checked, ordered. */
  write?(offset: number, data: Uint8Array, ctx: Context): number | Promise<number>
  /** Directories: all entries, asked once per read from offset 0 and held for the fid. Checked, interruptible. */
  list?(ctx: Context): Iterable<Entry> | Promise<Iterable<Entry>>
  /** fsync(2), and FUSE's FLUSH at each close of a copy: what can still fail should fail here, clunk's errors are lost. */
  sync?(ctx: Context): void | Promise<void>
  /** The last call: the fid was clunked, or its connection is gone. */
  close?(): void | Promise<void>
  /** Its reads wait for more: the `?chunk` attach option applies. */
  readonly stream?: boolean
}

export type Entry = readonly [name: string, file: File]

let lastPath = 0n

/** A qid that no other file of this process has or will have. Version 0: synthetic, never cached (9p.md 9.2). */
export function newQid(type = 0): Qid {
  return { type, version: 0, path: ++lastPath }
}
