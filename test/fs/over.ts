/** The transports over which the tests run, each with a listener and a way to dial it. */
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { dial, listen } from '../../fs/dial.js'
import { transportPair } from '../../fs/transport/pair.js'
import { dialWebSocket, upgradeWebSocket } from '../../fs/transport/websocket.js'
import type { Transport } from '../../fs/transport.js'

/** A transport: `dial` makes a connection, which the server's side accepts. */
export interface Way {
  dial(): Promise<Transport>
  close(): Promise<void>
}

type Accept = (transport: Transport) => void

async function overSocket(address: string, accept: Accept, after: () => void = () => {}): Promise<Way> {
  const listener = await listen(address, accept)
  return {
    dial: () => dial(listener.address),
    async close() {
      await listener.close()
      after()
    },
  }
}

/** The transports, by name. */
export const ways: Record<string, (accept: Accept) => Promise<Way>> = {
  async memory(accept) {
    const open: Transport[] = []
    return {
      async dial() {
        const [ours, theirs] = transportPair()
        open.push(theirs)
        accept(theirs)
        return ours
      },
      async close() {
        for (const transport of open) transport.destroy()
      },
    }
  },
  unix(accept) {
    const dir = mkdtempSync(join(tmpdir(), '9p-'))
    return overSocket(`unix!${join(dir, '9p')}`, accept, () => rmSync(dir, { recursive: true }))
  },
  tcp: accept => overSocket('tcp!127.0.0.1!0', accept),
  async WebSocket(accept) {
    const http = createServer()
    http.on('upgrade', async (request, socket, head) => accept(await upgradeWebSocket(request, socket, head)))
    await new Promise<void>(resolve => http.listen(0, '127.0.0.1', resolve))
    const { port } = http.address() as AddressInfo
    return {
      dial: () => dialWebSocket(`ws://127.0.0.1:${port}/9p`),
      async close() {
        http.closeAllConnections()
        await new Promise(resolve => http.close(resolve))
      },
    }
  },
}
