/**
 * The interface between the 9P server and a file tree: `File` and `Opened`, which the author of a tree implements. The
 * server (server.ts) owns the protocol: fids, tags, walks of many names, permissions, flushes, directory encoding. A
 * File answers questions about itself.
 *
 * Each call below names the guarantees that it has:
 * - **checked**: the server has checked that the fid exists, that it is open (or not open) as the call requires, that
 *   names are valid, and that the mode bits grant the user access.
 * - **interruptible**: the call may return a promise. When the request is flushed or its connection closes,
 *   `ctx.signal` aborts. The call should reject then, without having consumed anything that a later, unflushed caller
 *   would miss. If it returns a result all the same within FLUSH_GRACE_MS, a flushed request is answered with that;
 *   later results are discarded.
 * - **ordered**: calls on one Opened begin in the order in which their requests arrived. They may overlap while they
 *   wait.
 *
 * A call that throws an FsError answers with it; anything else it throws becomes `i/o error` and is passed to
 * `onerror`.
 */
import type { Holding } from './base/holding.js'
import type { Qid } from './wire/protocol.js'

/**
 * The user behind a request. `role` comes from a token or, on a unix socket, from being the server's own user (or
 * root).
 */
export interface User {
  readonly name: string
  /** The Linux uid, or NONUNAME if the user has none. */
  readonly uid: number
  readonly role: 'read' | 'use' | 'admin'
  /**
   * Set for the user under which a cluster that this server has joined attaches: what its requests say about their
   * origin is trusted.
   */
  readonly relayed?: true
}

/** The request that a call serves: its user, and how it is interrupted and accounted. */
export interface Context {
  readonly user: User
  /**
   * Aborts when the request is flushed or its connection closes. Created on first use: reading this property allocates
   * an object.
   */
  readonly signal: AbortSignal
  /**
   * Registers the callback to run when `signal` aborts, or runs it at once if it has aborted already. A call can
   * register one callback; it costs less than a signal. Code that creates a Context without a server may omit this
   * method.
   */
  whenAborted?(call: () => void): void
  /**
   * Counts `bytes` against the replies that the client has not read yet, from now until `answer` settles, so that a
   * client that requests much and reads nothing is throttled. Only a `stream` whose bytes exist already (on a disk,
   * say) needs to call this: the server does it for all other files, and a read that waits for bytes still to come has
   * nothing to count yet.
   */
  reserve?(bytes: number, answer: Promise<unknown>): void
  /** Counts the memory that is kept for the fid, and is freed with it. Absent if memory is not counted. */
  readonly holding?: Holding | undefined
}

/** A file's owner: a name and a uid. The group of every file is the admins, as for `ctl` (0660). */
export interface Owner {
  readonly name: string
  readonly uid: number
  /** The gid shown for that group to programs that want one; defaults to `uid`. */
  readonly gid?: number
}

/** The part of a stat that a file answers itself. */
export interface Attributes {
  /** Permission bits, 0 to 0o777, for the owner, the admins and everyone else. */
  readonly mode: number
  readonly owner: Owner
  /**
   * In bytes. 0 for directories and for files whose length is not known; never more than a read of the file returns.
   */
  readonly length: number
  /** Seconds since 1970. */
  readonly mtime: number
  readonly atime: number
}

/**
 * The changes of a wstat or setattr that the server does not settle itself (it settles times, mode bits and truncation
 * to nothing).
 */
export interface Changes {
  readonly name?: string
  readonly length?: number
}

/**
 * The current length of a file's content, in bytes, and the time since when it has been as it is, in seconds since
 * 1970.
 */
export interface Extent {
  readonly length: number
  readonly mtime: number
}

/** A file or directory of a tree. */
export interface File {
  /**
   * Stable for the life of this object. `path` is unique in this server (see `newQid`); `type` says whether this is a
   * directory, an append-only file or a plain file.
   */
  readonly qid: Qid
  /**
   * True if another server decides who may access the file: the server of a mounted tree, which may know the user by
   * another name. The mode bits are shown but not checked here.
   */
  readonly decided?: boolean
  /**
   * True if the file can be walked to but no listing has it: a file that would block a program that reads every file it
   * finds.
   */
  readonly unlisted?: boolean
  /** Interruptible if it waits (a mounted remote tree does). */
  attributes(ctx: Context): Attributes | Promise<Attributes>
  /**
   * For a file whose content is generated on demand: the length and time of the content that this user would get now.
   * Called for a stat and a listing, not for permission checks. If it fails, the values of `attributes` stand.
   * Interruptible.
   */
  extent?(ctx: Context): Extent | Promise<Extent>
  /** For directories: the child of that name, or undefined. Never called with `.` or `..`. Checked, interruptible. */
  walk?(name: string, ctx: Context): File | undefined | Promise<File | undefined>
  /**
   * Opens the file for OREAD, OWRITE, ORDWR or OEXEC, perhaps with OTRUNC (the low bits of open(5)'s mode; the server
   * handles ORCLOSE). Checked, interruptible. If the request is flushed while this waits, the server closes the Opened
   * that it returns.
   */
  open(mode: number, ctx: Context): Opened | Promise<Opened>
  /**
   * For directories: creates and opens a file, or a directory if `perm` has DMDIR. If absent, create fails with
   * `permission denied`. Checked.
   */
  create?(name: string, perm: number, mode: number, ctx: Context): Created | Promise<Created>
  /**
   * Removes the file. If absent, remove fails with `permission denied`. Checked (write permission on the parent
   * directory).
   */
  remove?(ctx: Context): void | Promise<void>
  /**
   * Sets the length to 0. If absent, truncation is accepted and ignored: a shell's `>` truncates every file that it
   * writes, synthetic ones too. Checked.
   */
  truncate?(ctx: Context): void | Promise<void>
  /** Renames or resizes the file. If absent, the change fails with `permission denied`. Checked. */
  change?(changes: Changes, ctx: Context): void | Promise<void>
}

/** The result of a create: the new file, and the open file that the fid then holds. */
export interface Created {
  readonly file: File
  readonly opened: Opened
}

/** An open file, which a fid holds from open to clunk. */
export interface Opened {
  /**
   * Reads up to `count` bytes at `offset` (a safe integer); an empty result is end of file. May wait. Checked, ordered,
   * interruptible. The server sends the bytes without copying them, so they must not change afterwards.
   */
  read?(offset: number, count: number, ctx: Context): Uint8Array | Promise<Uint8Array>
  /** The length and time of everything that reads of this open return, for a stat of its fid. Interruptible. */
  extent?(ctx: Context): Extent | Promise<Extent>
  /**
   * Writes bytes and returns how many it took. `data` is a view on the received message: copy what you keep. Checked,
   * ordered.
   */
  write?(offset: number, data: Uint8Array, ctx: Context): number | Promise<number>
  /**
   * For directories: all entries. Called for each read at offset 0; the fid keeps the result for the reads that follow.
   * Checked, interruptible.
   */
  list?(ctx: Context): Iterable<Entry> | Promise<Iterable<Entry>>
  /**
   * Called for fsync(2), and for FUSE's FLUSH each time a copy of the descriptor is closed. Errors should be reported
   * here: the errors of a clunk are lost.
   */
  sync?(ctx: Context): void | Promise<void>
  /** The last call: the fid was clunked or its connection has closed. */
  close?(): void | Promise<void>
  /** True if reads wait for more data: the `?chunk` attach option applies. */
  readonly stream?: boolean
}

/** An entry of a directory. */
export type Entry = readonly [name: string, file: File]

let lastPath = 0n

/**
 * A qid that no other file of this process has or will have. Its version is 0: a client must never cache a synthetic
 * file.
 */
export function newQid(type = 0): Qid {
  return { type, version: 0, path: ++lastPath }
}
