import { type ErrorCode, FsError, fail } from '../../fs/errors.js'

/** Errors of the host's own file system and the row each becomes. */
const rows: Readonly<Record<string, ErrorCode>> = {
  ENOENT: 'notFound',
  EACCES: 'permission',
  EPERM: 'notPermitted',
  EROFS: 'permission',
  ENOTDIR: 'notDirectory',
  EISDIR: 'isDirectory',
  EEXIST: 'exists',
  ENOSPC: 'diskFull',
  EDQUOT: 'diskFull',
  EFBIG: 'tooLarge',
}

/** What the host's file system said about `name`, as an FsError of the same meaning that shows none of the host's paths. */
export function fileError(error: unknown, name: string): FsError {
  if (error instanceof FsError) return error
  const row = rows[(error as NodeJS.ErrnoException)?.code ?? '']
  return row ? fail(row, name, error) : fail('io', name, error)
}
