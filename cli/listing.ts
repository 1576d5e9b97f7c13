/** How the listing of a file writes its mode, its time and its other attributes. */

import { record } from '../fs/base/quote.js'
import { DMAPPEND, DMDEVICE, DMDIR, DMNAMEDPIPE, DMSOCKET, DMSYMLINK, type Stat } from '../fs/wire/protocol.js'

const bits = ['---', '--x', '-w-', '-wx', 'r--', 'r-x', 'rw-', 'rwx']

const kinds = [
  [DMDIR, 'd'],
  [DMAPPEND, 'a'],
  [DMSYMLINK, 'l'],
  [DMNAMEDPIPE, 'p'],
  [DMSOCKET, 's'],
  [DMDEVICE, 'c'],
] as const

/** The mode as ls(1) writes it, `drwxr-xr-x`, with `a` in front for a file that is append-only. */
export function modeText({ mode }: Pick<Stat, 'mode'>): string {
  const kind = kinds.find(([bit]) => (mode & bit) !== 0)?.[1] ?? '-'
  return kind + [6, 3, 0].map(shift => bits[(mode >> shift) & 7]).join('')
}

/** All attributes of a file as one record, whose word is the file's path. */
export function statRecord(path: string, stat: Stat): string {
  const { type, version, path: id } = stat.qid
  return record(path, {
    mode: modeText(stat),
    perm: (stat.mode & 0o777).toString(8).padStart(4, '0'),
    uid: stat.uid,
    gid: stat.gid,
    length: stat.length,
    mtime: new Date(stat.mtime * 1000).toISOString(),
    atime: new Date(stat.atime * 1000).toISOString(),
    qid: `${id}.${version}.${type.toString(16)}`,
  })
}

export const isDirectory = ({ mode }: Pick<Stat, 'mode'>): boolean => (mode & DMDIR) !== 0

/** A time in seconds since 1970 as local time: `2026-11-21 10:04:11`. */
export function timeText(seconds: number): string {
  const date = new Date(seconds * 1000)
  return new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 19).replace('T', ' ')
}
