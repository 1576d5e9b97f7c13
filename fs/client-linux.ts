/**
 * What 9P2000.L has messages for and Fid, which is for all dialects, has no call for: the files of Linux as they are.
 * Where another dialect is spoken each fails with EPERM, as symlink(2) and its like do where a file system has none.
 */
import type { Fid } from './client-fid.js'
import { fail } from './errors.js'
import type { Msg, ReplyOf, TMessage } from './message.js'
import { NONUNAME } from './protocol.js'

type Asked<T extends TMessage['type']> = { type: T } & Omit<Msg<T>, 'tag'>

function ask<T extends TMessage['type']>(fid: Fid, m: Asked<T>, signal?: AbortSignal): Promise<ReplyOf<T>> {
  if (!fid.linux) return Promise.reject(fail('notPermitted', `${m.type} in ${fid.client.dialect}`))
  return fid.rpc<T>(m, signal)
}

/** Bits of Tgetattr's request_mask: all that stat(2) has. */
const BASIC = 0x7ffn

/** stat(2): mode with its S_IFMT bits, times in seconds and nanoseconds. */
export const getattr = (fid: Fid, signal?: AbortSignal): Promise<ReplyOf<'Tgetattr'>> =>
  ask(fid, { type: 'Tgetattr', fid: fid.fid, request_mask: BASIC }, signal)

/** Bits of Tsetattr's `valid`. A time without its _SET is the server's now. */
export const SET = {
  MODE: 1,
  UID: 2,
  GID: 4,
  SIZE: 8,
  ATIME: 0x10,
  MTIME: 0x20,
  ATIME_SET: 0x80,
  MTIME_SET: 0x100,
} as const

/** chmod(2), chown(2), truncate(2), utimensat(2) in one: what `valid` names is changed. */
export const setattr = (
  fid: Fid,
  changes: Omit<Msg<'Tsetattr'>, 'type' | 'tag' | 'fid'>,
  signal?: AbortSignal,
): Promise<unknown> => ask(fid, { type: 'Tsetattr', fid: fid.fid, ...changes }, signal)

/**
 * The group that what this process makes belongs to, as open(2) has it; ~0 where a process has none (a browser). 9P2000.L servers of real
 * files take the number as it is.
 */
export const ownGroup = (): number => globalThis.process?.getgid?.() ?? NONUNAME

/** Makes a symbolic link in a directory; `target` is any text. */
export const symlink = (
  dir: Fid,
  name: string,
  target: string,
  signal?: AbortSignal,
  gid = ownGroup(),
): Promise<unknown> => ask(dir, { type: 'Tsymlink', dfid: dir.fid, name, target, gid }, signal)

/** The target of a symbolic link. */
export const readlink = async (fid: Fid, signal?: AbortSignal): Promise<string> =>
  (await ask(fid, { type: 'Treadlink', fid: fid.fid }, signal)).target

/** Gives the file of a fid a second name in a directory. */
export const link = (dir: Fid, file: Fid, name: string, signal?: AbortSignal): Promise<unknown> =>
  ask(dir, { type: 'Tlink', dfid: dir.fid, fid: file.fid, name }, signal)

/** Makes a fifo, a socket or a device; `mode` with its S_IFMT bits. */
export const mknod = (
  dir: Fid,
  name: string,
  mode: number,
  device: { major: number; minor: number },
  signal?: AbortSignal,
  gid = ownGroup(),
): Promise<unknown> => ask(dir, { type: 'Tmknod', dfid: dir.fid, name, mode, ...device, gid }, signal)

/** rename(2): into any directory of the tree, in place of what has the name there. Trename: diod knows no Trenameat. */
export const rename = (file: Fid, dir: Fid, name: string, signal?: AbortSignal): Promise<unknown> =>
  ask(file, { type: 'Trename', fid: file.fid, dfid: dir.fid, name }, signal)

/** statfs(2). */
export const statfs = (fid: Fid, signal?: AbortSignal): Promise<ReplyOf<'Tstatfs'>> =>
  ask(fid, { type: 'Tstatfs', fid: fid.fid }, signal)

/** Removes what has that name in a directory; a directory with the flag AT_REMOVEDIR. */
export const unlinkat = (dir: Fid, name: string, flags: number, signal?: AbortSignal): Promise<unknown> =>
  ask(dir, { type: 'Tunlinkat', dirfid: dir.fid, name, flags }, signal)
