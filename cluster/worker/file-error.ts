/** Translates errors of the host's file system to the errors of the tree. */
import { type ErrorCode, FsError, fail } from '../../api/errors.js'

/** The error of the tree for each errno of the host's file system. */
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

/** Returns an FsError with the same meaning as the host's error about `name`, without any path of the host. */
export function fileError(error: unknown, name: string): FsError {
  if (error instanceof FsError) return error
  const row = rows[(error as NodeJS.ErrnoException)?.code ?? '']
  return row ? fail(row, name, error) : fail('io', name, error)
}
