/** Maps the HTTP errors of an upstream to errors of the tree. */
import { FsError, fail } from '../../../../api/errors.js'
import { MOST_PAUSE_S } from './limits.js'
import type { Said } from './reply.js'

/** Accompanies a refusal, so that the engine can ask again with other parameters. */
export interface Refusal {
  readonly status: number
  readonly param: string
}

/** Statuses below 500 that are not the fault of the request: it may succeed at another try, here or elsewhere. */
const passing: readonly number[] = [408, 409, 425, 429]
/** Statuses that ask for a pause, whether they say how long or not. */
const busy: readonly number[] = [429, 503]
/** The pause for a server that does not say how long, in seconds. */
const PAUSE_S = 1

/**
 * Decides what a status means for the request: it is refused for good (the user gets the message as it is), to be tried
 * again after a pause, or failed on this server.
 * @param pause_s the pause that the server asks for, if any, in seconds
 */
export function failureOf(url: string, status: number, said: Said | undefined, pause_s?: number): FsError {
  const words = `${url}: ${status}${said?.message ? ` ${said.message}` : ''}`
  if (status < 500 && !passing.includes(status)) {
    const refusal: Refusal = { status, param: said?.param ?? '' }
    return fail('upstreamRefused', words, refusal)
  }
  const pause = pause_s ?? said?.seconds ?? (busy.includes(status) ? PAUSE_S : undefined)
  return pause === undefined ? fail('upstreamFailed', words) : askedToWait(pause, words)
}

/** The error of a server that asks for a pause, in seconds. */
export function askedToWait(seconds: number, words: string): FsError {
  const { message, errno } = fail('upstreamBusy', Math.ceil(Math.min(Math.max(seconds, 0), MOST_PAUSE_S)))
  return new FsError(`${message}: ${words}`, errno)
}

/**
 * Seconds that a `retry-after` header asks for (RFC 9110, 10.2.3), as a number or a date; undefined if it is missing or
 * malformed.
 */
export function retryAfter(
  headers: Readonly<Record<string, string | string[] | undefined>>,
  date: number,
): number | undefined {
  const text = (name: string) => String(headers[name] ?? '').trim()
  const ms = text('retry-after-ms')
  if (/^\d{1,9}(\.\d+)?$/.test(ms)) return Number(ms) / 1000
  const said = text('retry-after')
  if (/^\d{1,9}(\.\d+)?$/.test(said)) return Number(said)
  const at = /[a-z]{3}/i.test(said) && said.length < 64 ? Date.parse(said) : Number.NaN
  return Number.isNaN(at) ? undefined : Math.max(0, (at - date) / 1000)
}
