/** Unpacks the replies of servers, and checks that each can be the reply to its request. */
import { fail } from '../base/errors.js'
import { type Message, type Msg, messages, replyTo, type TMessage, unpack } from '../wire/message.js'
import type { Dialect } from '../wire/protocol.js'

/** A request without its tag. */
export type Asked = Omit<TMessage, 'tag'>

/**
 * Unpacks the answer to a Tversion, whose dialect is not agreed on yet: a server that speaks only 9P2000.L refuses the
 * others with an Rlerror, and an Rerror comes with an errno (9P2000.u) or without, whatever was proposed.
 */
export function unpackVersion(bytes: Uint8Array): Message {
  if (bytes[4] === messages.Rlerror.type || isNumber(bytes)) return unpackReply(bytes, '9P2000.L')
  try {
    return unpack(bytes, '9P2000')
  } catch (error) {
    if (bytes[4] !== messages.Rerror.type) throw error
    return unpack(bytes, '9P2000.u')
  }
}

/** Whether an Rerror has a number in place of its text. */
const isNumber = (bytes: Uint8Array) => bytes[4] === messages.Rerror.type && bytes.length === 11

/**
 * Unpacks a reply. nfs-ganesha (seen in 4.3) sends the body of an Rlerror with the type of an Rerror, and Linux's own
 * client accepts that as an Rlerror.
 */
export function unpackReply(bytes: Uint8Array, dialect: Dialect): Message {
  if (dialect !== '9P2000.L' || !isNumber(bytes)) return unpack(bytes, dialect)
  const meant = bytes.slice()
  meant[4] = messages.Rlerror.type
  return unpack(meant, dialect)
}

/**
 * Checks that `m` can be the reply to this request.
 * @throws FsError `bad message` if not: the connection cannot be used any more
 */
export function check(asked: Asked, m: Message): void {
  if (m.type !== replyTo(asked.type)) {
    if (m.type === 'Rerror' || m.type === 'Rlerror') return
    throw fail('badMessage', `unexpected ${m.type} in reply to ${asked.type}`)
  }
  if (m.type === 'Rread' || m.type === 'Rreaddir')
    bound(asked, m, 'bytes', m.data.length, (asked as Msg<'Tread'>).count)
  else if (m.type === 'Rwrite') bound(asked, m, 'bytes', m.count, (asked as Msg<'Twrite'>).data.length)
  else if (m.type === 'Rwalk') bound(asked, m, 'qids', m.wqid.length, (asked as Msg<'Twalk'>).wname.length)
}

function bound(asked: Asked, m: Message, what: string, n: number, most: number): void {
  if (n > most) throw fail('badMessage', `${m.type} has ${n} ${what}, but ${asked.type} asked for ${most}`)
}
