/** Secrets of 256 bits, and how what was shown is compared with what is kept. */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'

/** A new secret, as 64 hexadecimal digits. */
export const newSecret = (): string => randomBytes(32).toString('hex')

/** SHA-256 of a secret, in hex: what may be kept of another's. */
export const digestOf = (secret: string): string => createHash('sha256').update(secret).digest('hex')

/** Whether two texts are the same, in a time that tells nothing of where they differ. */
export function same(a: string, b: string): boolean {
  const [one, other] = [Buffer.from(a), Buffer.from(b)]
  return one.length === other.length && timingSafeEqual(one, other)
}

/** The secret of a file that has `ID SECRET`; undefined where it is none, or of another id: they are kept in two files. */
export function paired(id: string, text: string | undefined): string | undefined {
  const [of, secret = ''] = text?.trim().split(' ') ?? []
  return of === id && /^[0-9a-f]{64}$/.test(secret) ? secret : undefined
}
