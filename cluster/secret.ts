/** Secrets of 256 bits: their comparison, and codes that only their owner can make. */
import { createHash, hash, randomBytes, timingSafeEqual } from 'node:crypto'

/** Makes a secret, as 64 hexadecimal digits. */
export const newSecret = (): string => randomBytes(32).toString('hex')

/** SHA-256 of a secret, in hex. Only this is stored of somebody else's secret. */
export const digestOf = (secret: string): string => createHash('sha256').update(secret).digest('hex')

/** Compares two texts in a time that does not depend on where they differ. */
export function same(a: string, b: string): boolean {
  const [one, other] = [Buffer.from(a), Buffer.from(b)]
  return one.length === other.length && timingSafeEqual(one, other)
}

/**
 * Reads the secret from the text of a file, `ID SECRET`; undefined if it is malformed, or belongs to another id: id and
 * secret are stored in two files, which may not match.
 */
export function paired(id: string, text: string | undefined): string | undefined {
  const [of, secret = ''] = text?.trim().split(' ') ?? []
  return of === id && /^[0-9a-f]{64}$/.test(secret) ? secret : undefined
}

/** Bytes of a block of SHA-256. */
const BLOCK = 64

/**
 * HMAC-SHA-256 with a key, in hex (RFC 2104). createHmac takes ten times as long for a short text, because it makes a
 * stream: a proof then costs a twentieth of a small request.
 */
export function hmac(key: string): (text: string) => string {
  const bytes = Buffer.from(key)
  const padded = Buffer.alloc(BLOCK)
  ;(bytes.length > BLOCK ? hash('sha256', bytes, 'buffer') : bytes).copy(padded)
  const [inner, outer] = [0x36, 0x5c].map(pad => padded.map(byte => byte ^ pad))
  return text => {
    const digest = hash('sha256', Buffer.concat([inner!, Buffer.from(text)]), 'buffer')
    return hash('sha256', Buffer.concat([outer!, digest]), 'hex')
  }
}
