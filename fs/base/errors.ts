/** The table of all errors, and FsError, with which a file operation fails. */
import { errnoOf } from './foreign-errors.js'

/**
 * The table of errors (docs/files.md#errors). A row is the string that a 9P2000 client sees and the Linux errno that a
 * 9P2000.u or .L client, or a program behind FUSE, sees for the same failure. The strings are API: clients compare
 * them, and Linux v9fs maps those of plain 9P2000 by exact match.
 *
 * `{}` in a string is where the detail goes; otherwise a detail follows after `: `.
 */
export const errors = {
  notFound: ['file does not exist', 2],
  permission: ['permission denied', 13],
  notPermitted: ['permission denied', 1],
  notDirectory: ['not a directory', 20],
  isDirectory: ['is a directory', 21],
  exists: ['file exists', 17],
  notEmpty: ['directory not empty', 39],
  notText: ['not UTF-8', 84],
  badOffset: ['bad offset', 22],
  unknownFid: ['unknown fid', 9],
  fidInUse: ['fid in use', 9],
  notOpen: ['fid is not open for this', 9],
  badMessage: ['bad message', 71],
  unknownCommand: ['unknown command', 22],
  badArgument: ['bad argument', 22],
  badName: ['bad file name', 22],
  tooManyFids: ['too many fids on one connection', 24],
  tooManyRequests: ['too many requests outstanding', 11],
  tooLarge: ['file too large', 27],
  fileBusy: ['file in use', 16],
  diskFull: ['no space left on device', 28],
  overMemory: ['over the memory budget of this server: {}', 12],
  cancelled: ['cancelled', 125],
  interrupted: ['interrupted', 4],
  authRequired: ['authentication required', 13],
  certificateRefused: ['certificate refused', 13],
  crossDevice: ['not in the same directory', 18],
  tryAgain: ['nothing yet, try again', 11],
  noSuchCall: ['function not implemented', 38],
  noAuth: ['authentication not required', 2],
  notSupported: ['operation not supported', 95],
  shuttingDown: ['shutting down', 108],
  hungUp: ['i/o on hungup channel', 5],
  unreachable: ['cannot reach {}', 111],
  addressInUse: ['address in use', 98],
  io: ['i/o error', 5],
} as const satisfies Rows

type Row = readonly [string: string, errno: number]
export type Rows = Readonly<Record<string, Row>>

/** The codes that other folders add with `register`: they declare them here, too (api/errors.ts). */
// biome-ignore lint/suspicious/noEmptyInterface: filled by those that register rows
export interface MoreErrors {}
export type ErrorCode = keyof typeof errors | keyof MoreErrors

/** All rows, by their codes. */
const table = new Map<string, Row>(Object.entries(errors))

/** Adds rows of another folder to the table. */
export function register(rows: Rows): void {
  for (const [code, row] of Object.entries(rows)) table.set(code, row)
}

/** The fixed beginning of a row's string. */
const headOf = (string: string): string => string.split('{}', 1)[0]!

/** The code of the row whose string a message begins with; undefined if there is none. */
function codeOf(message: string): ErrorCode | undefined {
  for (const [code, [string]] of table) if (message.startsWith(headOf(string))) return code as ErrorCode
  return undefined
}

/** The error of a file operation: `message` is the 9P string, `errno` the Linux number of the same row. */
export class FsError extends Error {
  /** The code of its row. Of an error that another server made, the row is found by the string. */
  readonly code: ErrorCode | undefined

  constructor(
    message: string,
    readonly errno: number,
    { code, ...options }: ErrorOptions & { code?: ErrorCode } = {},
  ) {
    super(message, options)
    this.name = 'FsError'
    this.code = code ?? codeOf(message)
  }

  /** Whether the file does not exist. Compares the number, because each server words this differently. */
  get isMissing(): boolean {
    return this.errno === errors.notFound[1]
  }

  /**
   * Whether this is the error `code`. Rows with the same string are the same error to a 9P client. For a file that does
   * not exist use `isMissing`, which also recognises other servers' errors.
   */
  is(code: ErrorCode): boolean {
    return this.code === code || (this.code !== undefined && table.get(this.code)?.[0] === table.get(code)?.[0])
  }
}

/**
 * The longest detail, in characters: a detail may quote what a user wrote, which may be 16 MiB, and errors are kept.
 */
const MAX_DETAIL = 4096

/** Cuts the middle: the beginning says what is wrong, the end what to do. */
const shortened = (detail: string) => `${detail.slice(0, MAX_DETAIL - 1024)} … ${detail.slice(-1021)}`

/** Makes an error from the table: `fail('notFound')`, `fail('badArgument', 'temperature 9: 0 to 2')`. */
export function fail(code: ErrorCode, what?: string | number, cause?: unknown): FsError {
  const row = table.get(code)
  if (!row) throw new Error(`no error is registered as ${code}`)
  const [string, errno] = row
  const detail = typeof what === 'string' && what.length > MAX_DETAIL ? shortened(what) : what
  const message = string.includes('{}')
    ? string.replace('{}', () => String(detail ?? ''))
    : detail === undefined
      ? string
      : `${string}: ${detail}`
  return new FsError(message, errno, cause === undefined ? { code } : { code, cause })
}

/** Linux's limit for error numbers. A larger number (~0 in 9P2000.u: the server has none) means nothing. */
const MAX_ERRNO = 4095

/**
 * Makes an error from one received over the wire. If it came without a number (9P2000 has none), its text gives one:
 * that of the row here whose string it begins with, otherwise that of a known text of other servers, otherwise EIO.
 */
export function received(ename: string, errno = 0): FsError {
  if (errno > 0 && errno <= MAX_ERRNO) return new FsError(ename, errno)
  const code = codeOf(ename)
  if (code) return new FsError(ename, table.get(code)![1], { code })
  return new FsError(ename, errnoOf(ename) ?? errors.io[1])
}

/** The string for an errno that came without one (in 9P2000.L). */
export function errnoString(errno: number): string {
  return (
    [...table.values()].find(([string, number]) => number === errno && !string.includes('{}'))?.[0] ?? `errno ${errno}`
  )
}

/**
 * Converts whatever was thrown to an FsError: an FsError stays as it is, an abort becomes `interrupted`, everything
 * else `i/o error` with the original as its cause.
 */
export function toFsError(thrown: unknown): FsError {
  if (thrown instanceof FsError) return thrown
  if (thrown instanceof Error && thrown.name === 'AbortError') return fail('interrupted')
  return fail('io', undefined, thrown)
}
