/**
 * The error texts of other 9P servers, with the Linux errno that each means. 9P2000 sends a text and no number, so a
 * client that must tell "not there" from "broken" has to go by the text, as Linux's own client does.
 */
/** Compared in lower case: servers that take a text from strerror(3) differ in nothing else. */
const texts: readonly (readonly [errno: number, ...texts: string[]])[] = [
  [1, 'operation not permitted', 'stat prohibited', 'wstat prohibited', 'create prohibited', 'remove prohibited'],
  [1, 'write prohibited', 'not a member of proposed group', 'no access to special file', 'cannot remove root'],
  [1, 'only support truncation to zero length', 'mounted directory forbids creation'],
  [2, 'no such file or directory', 'file not found', 'file does not exist', 'directory entry not found', 'not found'],
  [2, 'does not exist', 'no such file', 'illegal path element', 'directory entry is not allocated'],
  [2, 'phase error -- directory entry not found', 'file has been removed', 'no such folder'],
  [4, 'interrupted system call', 'interrupted'],
  [5, 'input/output error', 'i/o error', 'venti i/o error', 'i/o on hungup channel'],
  [6, 'no such device or address'],
  [7, 'argument list too long'],
  [9, 'bad file descriptor', 'unknown fid', 'invalid fid', 'bad fid', 'fid unknown or out of range', 'duplicate fid'],
  [9, 'fid already in use', 'fid in use', 'inappropriate use of fd', 'inappropriate use of fid', 'bad use of fid'],
  [9, 'fd out of range or not open', 'file not open', 'read/write -- on non open fid'],
  [9, 'open/create -- fid reopened', 'read/write -- not open in suitable mode'],
  [11, 'resource temporarily unavailable', 'try again'],
  [12, 'cannot allocate memory', 'out of memory', 'no free blocks in memory cache'],
  [13, 'permission denied', 'access permission denied', 'not owner', 'only owner can change group in wstat'],
  [13, 'authentication required', 'authentication failed', 'unknown user'],
  [14, 'bad address'],
  [16, 'device or resource busy', 'file in use', 'file is in use', 'device or object already in use'],
  [16, 'file already open for i/o', 'exclusive use file already open', 'exclusive lock', 'file is locked'],
  [16, 'open/create -- file is locked'],
  [17, 'file exists', 'file already exists', 'file or directory already exists', 'create/wstat -- file exists'],
  [18, 'invalid cross-device link'],
  [19, 'no such device'],
  [20, 'not a directory', 'not a folder', 'walk in non-directory', 'create in non-directory'],
  [20, 'walk -- in a non-directory', 'create -- in a non-directory'],
  [21, 'is a directory', 'file is a directory', 'not a file'],
  [22, 'invalid argument', 'bad offset', 'bad offset in directory read', 'illegal offset', 'negative i/o offset'],
  [22, 'read/write -- bad offset', 'bad count', 'illegal mode', 'open/create -- unknown mode', 'file name syntax'],
  [22, 'illegal name', 'bad character in file name', 'name contains illegal characters', 'bad arg in system call'],
  [22, 'bad process or channel control request', 'unknown specifier in attach', 'attach -- unknown attach name'],
  [22, 'unknown group', 'bad directory in wstat'],
  [23, 'too many open files in system'],
  [24, 'too many open files', 'no free file descriptors'],
  [26, 'text file busy'],
  [27, 'file too large', 'file too big'],
  [28, 'no space left on device', 'file system full', 'file system is full', 'disk full'],
  [29, 'illegal seek', 'seek on a stream'],
  [30, 'read-only file system', 'read only file system', 'file system read only', 'file is read only'],
  [30, 'snapshot is read only'],
  [31, 'too many links'],
  [32, 'broken pipe', 'write to hungup channel', 'write on closed pipe'],
  [36, 'file name too long', 'name too long'],
  [38, 'function not implemented', 'not implemented', 'unknown message'],
  [39, 'directory not empty', 'directory is not empty'],
  [40, 'too many levels of symbolic links'],
  [61, 'no data available'],
  [71, 'protocol error', 'protocol botch', '9p protocol botch', 'bogus wstat buffer'],
  [95, 'operation not supported', 'not supported'],
  [104, 'connection reset by peer'],
  [110, 'connection timed out'],
  [111, 'connection refused'],
  [116, 'stale file handle', 'stale nfs file handle'],
  [122, 'disk quota exceeded'],
]

const known = new Map(texts.flatMap(([errno, ...all]) => all.map(text => [text, errno] as const)))

/**
 * The errno that an error text of another server means; undefined for an unknown text. The text may have a name before
 * or after it: the Plan 9 kernel says `'notes' file does not exist`, Go `open notes: no such file or directory`, lib9p
 * `ramfs: authentication not required`.
 */
export function errnoOf(ename: string): number | undefined {
  const text = ename.trim().toLowerCase()
  const unquoted = text.replace(/^(?:'(?:[^']|'')*'|"[^"]*")\s*:?\s*/, '')
  const parts = [text, unquoted, text.slice(text.lastIndexOf(': ') + 2), text.split(': ', 1)[0]!]
  for (const part of parts) {
    const errno = known.get(part)
    if (errno !== undefined) return errno
  }
  return undefined
}
