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
  tooLong: ['prompt too long', 27],
  tooLarge: ['file too large', 27],
  notUtf8: ['prompt is not UTF-8', 84],
  noWorker: ['no worker serves {}', 6],
  loading: ['no model is loaded', 6],
  tooManySessions: ['too many sessions', 16],
  deadline: ['deadline of {} ms passed', 110],
  queueFull: ['queue full, retry after {} s', 16],
  sessionBusy: ['session busy', 16],
  fileBusy: ['file in use', 16],
  tooManyUploads: ['too many uploads at once', 16],
  waited: ['waited {} s for a worker', 110],
  workerLost: ['worker lost after {} tokens', 5],
  poison: ['request ended {} workers', 5],
  noWorkers: ['there is no worker', 6],
  upstreamRefused: ['the upstream refuses this', 22],
  upstreamBusy: ['the upstream asks to wait {} s', 16],
  upstreamFailed: ['the upstream failed', 121],
  contextFull: ['context full', 90],
  diskFull: ['no space left on device', 28],
  badModel: ['model file is damaged', 74],
  noMemory: ['not enough memory for {}', 12],
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
} as const satisfies Record<string, readonly [string, number]>

export type ErrorCode = keyof typeof errors

/** The error of a file operation: `message` is the 9P string, `errno` the Linux number of the same row. */
export class FsError extends Error {
  constructor(
    message: string,
    readonly errno: number,
    options?: ErrorOptions,
  ) {
    super(message, options)
    this.name = 'FsError'
  }

  /** Whether the file does not exist. Compares the number, because each server words this differently. */
  get isMissing(): boolean {
    return this.errno === errors.notFound[1]
  }

  /**
   * Whether this is the error `code` of this table, by its string, as a client must compare it. For a file that does
   * not exist use `isMissing`, which also recognises other servers' errors.
   */
  is(code: ErrorCode): boolean {
    const [head = ''] = errors[code][0].split('{}')
    return this.message.startsWith(head)
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
  const [string, errno] = errors[code]
  const detail = typeof what === 'string' && what.length > MAX_DETAIL ? shortened(what) : what
  const message = string.includes('{}')
    ? string.replace('{}', () => String(detail ?? ''))
    : detail === undefined
      ? string
      : `${string}: ${detail}`
  return new FsError(message, errno, cause === undefined ? undefined : { cause })
}

/** Linux's limit for error numbers. A larger number (~0 in 9P2000.u: the server has none) means nothing. */
const MAX_ERRNO = 4095

/**
 * Makes an error from one received over the wire. If it came without a number (9P2000 has none), its text gives one:
 * that of the row here whose string it begins with, otherwise that of a known text of other servers, otherwise EIO.
 */
export function received(ename: string, errno = 0): FsError {
  if (errno > 0 && errno <= MAX_ERRNO) return new FsError(ename, errno)
  for (const [string, number] of Object.values(errors)) {
    const [head = ''] = string.split('{}')
    if (ename.startsWith(head)) return new FsError(ename, number)
  }
  return new FsError(ename, errnoOf(ename) ?? errors.io[1])
}

/** The string for an errno that came without one (in 9P2000.L). */
export function errnoString(errno: number): string {
  return Object.values(errors).find(row => row[1] === errno && !row[0].includes('{}'))?.[0] ?? `errno ${errno}`
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
