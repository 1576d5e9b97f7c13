/** Makes replies and packs them into bytes. */
import { errnoString, type FsError, fail } from '../base/errors.js'
import { MAX_ENAME } from '../base/limits.js'
import { packParts, type RMessage, replyTo, type TMessage } from '../wire/message.js'
import type { Dialect } from '../wire/protocol.js'

/** What was agreed on with the client. `msize` is 0 before its Tversion was answered. */
interface Agreed {
  readonly dialect: Dialect
  readonly msize: number
}

/** Makes the reply to a request from its body, an object that its operation created for it alone. */
export function replyOf(m: TMessage, body: object): RMessage {
  const reply = body as RMessage
  reply.type = replyTo(m.type)
  reply.tag = m.tag
  return reply
}

/** Makes the reply that reports an error, which fits into a message of the agreed size. */
export function errorReply(tag: number, error: FsError, { dialect, msize }: Agreed): RMessage {
  if (dialect === '9P2000.L' && msize > 0) return { type: 'Rlerror', tag, ecode: error.errno }
  // size[4] type[1] tag[2] ename[s] errno[4]
  const room = msize === 0 ? MAX_ENAME : Math.min(MAX_ENAME, msize - 13)
  return { type: 'Rerror', tag, ename: clip(error.message || errnoString(error.errno), room), errno: error.errno }
}

/** The bytes of a reply. @throws FsError if the reply cannot be encoded: a stat that exceeds msize, for example */
export function packReply(m: RMessage, { dialect, msize }: Agreed): Uint8Array[] {
  const parts = packParts(m, msize === 0 ? '9P2000' : dialect)
  const length = lengthOf(parts)
  if (msize > 0 && length > msize) throw fail('badMessage', `${m.type} has ${length} bytes, at most ${msize}`)
  return parts
}

/** The bytes of all parts together. */
export function lengthOf(parts: readonly Uint8Array[]): number {
  return parts.reduce((n, part) => n + part.length, 0)
}

/**
 * Cuts an error string to at most `most` bytes of whole characters. NULs, which may come from what a user wrote, become
 * U+FFFD.
 */
function clip(text: string, most: number): string {
  const ename = text.replaceAll('\0', '\ufffd')
  const bytes = new TextEncoder().encode(ename)
  return bytes.length <= most ? ename : new TextDecoder().decode(bytes.subarray(0, most - 3), { stream: true })
}
