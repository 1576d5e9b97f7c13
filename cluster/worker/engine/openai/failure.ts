import { FsError, fail } from '../../../../fs/errors.js'
import { MOST_PAUSE_S } from './limits.js'
import type { Said } from './reply.js'

/** What goes with a refusal, so that the engine can ask again with other parameters. */
export interface Refusal {
  readonly status: number
  readonly param: string
}

/** Statuses below 500 that say nothing against the request: another try, here or elsewhere, may do. */
const passing: readonly number[] = [408, 409, 425, 429]
/** Statuses whose sender asks for a pause, whether it says how long or not. */
const busy: readonly number[] = [429, 503]
/** A pause that was asked for without saying how long, in s. */
const PAUSE_S = 1

/**
 * What a status means for the request: refused for good (the user gets it as it is), to be tried again after a pause, or failed here.
 * @param pause_s what the server asks for, if anything
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

/** The server asks to be left alone for so long, in s. */
export function askedToWait(seconds: number, words: string): FsError {
  const { message, errno } = fail('upstreamBusy', Math.ceil(Math.min(Math.max(seconds, 0), MOST_PAUSE_S)))
  return new FsError(`${message}: ${words}`, errno)
}

/** Seconds that a `retry-after` asks for (RFC 9110, 10.2.3): a number, or a date. undefined: it says nothing that can be understood. */
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
