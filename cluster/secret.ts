/** Secrets of 256 bits, and their comparison. */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'

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
