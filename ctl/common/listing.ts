import { DMAPPEND, DMDEVICE, DMDIR, DMNAMEDPIPE, DMSOCKET, DMSYMLINK, type Stat } from '../../fs/protocol.js'
import { record } from '../../fs/quote.js'

const bits = ['---', '--x', '-w-', '-wx', 'r--', 'r-x', 'rw-', 'rwx']

const kinds = [
  [DMDIR, 'd'],
  [DMAPPEND, 'a'],
  [DMSYMLINK, 'l'],
  [DMNAMEDPIPE, 'p'],
  [DMSOCKET, 's'],
  [DMDEVICE, 'c'],
] as const

/** `drwxr-xr-x`, and `a` for a file that only grows. */
export function modeText({ mode }: Pick<Stat, 'mode'>): string {
  const kind = kinds.find(([bit]) => (mode & bit) !== 0)?.[1] ?? '-'
  return kind + [6, 3, 0].map(shift => bits[(mode >> shift) & 7]).join('')
}

/** All that is known of a file, as one record under its path. */
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

/** `2026-11-21 10:04:11`, in local time. */
export function timeText(seconds: number): string {
  const date = new Date(seconds * 1000)
  return new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 19).replace('T', ' ')
}
