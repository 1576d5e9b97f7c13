/**
 * 9P2000.L requests for which Fid, which serves all dialects, has no method. In another dialect each of them fails with
 * EPERM, as symlink(2) does on a file system that has no symbolic links.
 */
import { fail } from '../base/errors.js'
import { GETATTR_BASIC } from '../wire/linux.js'
import type { Msg, ReplyOf, TMessage } from '../wire/message.js'
import { NONUNAME } from '../wire/protocol.js'
import type { ClientFid } from './dialect.js'

type Fid = Pick<ClientFid, 'fid' | 'client' | 'rpc'>

type Asked<T extends TMessage['type']> = { type: T } & Omit<Msg<T>, 'tag'>

function ask<T extends TMessage['type']>(fid: Fid, m: Asked<T>, signal?: AbortSignal): Promise<ReplyOf<T>> {
  if (fid.client.dialect !== '9P2000.L')
    return Promise.reject(fail('notPermitted', `${fid.client.dialect} has no ${m.type}`))
  return fid.rpc<T>(m, signal)
}

/** stat(2): `mode` includes the S_IFMT bits; times are in seconds and nanoseconds. */
export const getattr = (fid: Fid, signal?: AbortSignal): Promise<ReplyOf<'Tgetattr'>> =>
  ask(fid, { type: 'Tgetattr', fid: fid.fid, request_mask: GETATTR_BASIC }, signal)

/** chmod(2), chown(2), truncate(2) and utimensat(2) in one: changes the fields that `valid` names (SETATTR). */
export const setattr = (
  fid: Fid,
  changes: Omit<Msg<'Tsetattr'>, 'type' | 'tag' | 'fid'>,
  signal?: AbortSignal,
): Promise<unknown> => ask(fid, { type: 'Tsetattr', fid: fid.fid, ...changes }, signal)

/**
 * The group of files that this process creates, as open(2) assigns it; ~0 in a browser, which has none. 9P2000.L
 * servers of real files use the number as it is.
 */
export const ownGroup = (): number => globalThis.process?.getgid?.() ?? NONUNAME

/** Creates a symbolic link in a directory; `target` is any text. */
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

/** Creates a hard link to the file of a fid in a directory. */
export const link = (dir: Fid, file: Fid, name: string, signal?: AbortSignal): Promise<unknown> =>
  ask(dir, { type: 'Tlink', dfid: dir.fid, fid: file.fid, name }, signal)

/** Creates a fifo, a socket or a device; `mode` includes the S_IFMT bits. */
export const mknod = (
  dir: Fid,
  name: string,
  mode: number,
  device: { major: number; minor: number },
  signal?: AbortSignal,
  gid = ownGroup(),
): Promise<unknown> => ask(dir, { type: 'Tmknod', dfid: dir.fid, name, mode, ...device, gid }, signal)

/**
 * rename(2): moves a file to any directory of the tree and replaces a file that has the name there. Uses Trename,
 * because diod does not know Trenameat.
 */
export const rename = (file: Fid, dir: Fid, name: string, signal?: AbortSignal): Promise<unknown> =>
  ask(file, { type: 'Trename', fid: file.fid, dfid: dir.fid, name }, signal)

/** statfs(2). */
export const statfs = (fid: Fid, signal?: AbortSignal): Promise<ReplyOf<'Tstatfs'>> =>
  ask(fid, { type: 'Tstatfs', fid: fid.fid }, signal)

/** Removes the file of that name from a directory; `flags` is AT_REMOVEDIR to remove a directory. */
export const unlinkat = (dir: Fid, name: string, flags: number, signal?: AbortSignal): Promise<unknown> =>
  ask(dir, { type: 'Tunlinkat', dirfid: dir.fid, name, flags }, signal)
