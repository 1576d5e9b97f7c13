/** A scripted server, against which the client is tested. */
import { Client, type ClientOptions } from '../../fs/client/client.js'
import { transportPair } from '../../fs/transport/pair.js'
import type { Transport } from '../../fs/transport.js'
import { Framer } from '../../fs/wire/framer.js'
import type { Message } from '../../fs/wire/message.js'
import { packParts, type TMessage, unpack } from '../../fs/wire/message.js'
import type { Dialect } from '../../fs/wire/protocol.js'

/**
 * The server's end of a client under test: it hands out requests as they arrive and sends whatever the test tells it
 * to.
 */
export class Peer {
  /** Requests in order of arrival that no `next` has taken yet. */
  readonly requests: TMessage[] = []
  /** How many messages each send of the client had. */
  readonly sends: number[] = []
  closed = false
  dialect: Dialect = '9P2000.u'
  #wake: (() => void) | undefined
  #framer = new Framer()

  constructor(readonly transport: Transport) {
    this.#framer.most = 1024 * 1024
    transport.ondata = chunk => {
      this.#framer.push(chunk, bytes => {
        this.requests.push(unpack(bytes, this.dialect) as TMessage)
        this.#wake?.()
      })
    }
    transport.onclose = () => {
      this.closed = true
      this.#wake?.()
    }
  }

  /** Waits for the next request, which must be of this type. */
  async next<T extends TMessage['type']>(type: T): Promise<Extract<TMessage, { type: T }>> {
    while (this.requests.length === 0) {
      if (this.closed) throw new Error(`${type} expected, the connection was closed`)
      await new Promise<void>(resolve => {
        this.#wake = resolve
      })
    }
    const m = this.requests.shift()!
    if (m.type !== type) throw new Error(`${type} expected, ${m.type} came`)
    return m as Extract<TMessage, { type: T }>
  }

  /** Sends messages, all in one write. */
  say(...messages: Message[]): void {
    this.transport.send(messages.map(m => packParts(m, this.dialect)))
  }
}

/** A client and its scripted peer, after Tversion. */
export async function connected(options: ClientOptions = {}): Promise<{ client: Client; peer: Peer }> {
  const [ours, theirs] = transportPair()
  const peer = new Peer(theirs)
  const send = ours.send.bind(ours)
  ours.send = messages => {
    peer.sends.push(messages.length)
    send(messages)
  }
  peer.dialect = options.dialect ?? '9P2000.u'
  const connecting = Client.connect(ours, options)
  const answer = async () => {
    const { tag, msize, version } = await peer.next('Tversion')
    peer.say({ type: 'Rversion', tag, msize, version })
    return msize
  }
  // plain 9P2000 is proposed again if the msize is too large for it
  if ((await answer()) > 65535 && peer.dialect === '9P2000') await answer()
  const client = await connecting
  return { client, peer }
}
