/** A server with the OpenAI API for tests, over real HTTP. It answers each request as the test says. */
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

interface Test {
  teardown(fn: () => unknown): unknown
}

export interface Asked {
  readonly path: string
  readonly headers: IncomingHttpHeaders
  readonly body: any
  /** When it arrived, in ms. */
  readonly at: number
}

export type Reply = (asked: Asked, response: ServerResponse) => unknown

export const event = (data: object | string) => `data: ${typeof data === 'string' ? data : JSON.stringify(data)}\n\n`
export const piece = (content: string) => event({ choices: [{ index: 0, delta: { content } }] })
export const finish = (reason = 'stop') => event({ choices: [{ index: 0, delta: {}, finish_reason: reason }] })

/** Answers successfully with that text. */
export const says =
  (text: string): Reply =>
  (_asked, response) =>
    response.end(`${piece(text)}${finish()}${event('[DONE]')}`)

/** Answers with an error status and message. */
export const status =
  (code: number, message: string, headers: Record<string, string> = {}): Reply =>
  (_asked, response) =>
    response.writeHead(code, headers).end(JSON.stringify({ error: { message } }))

export class Upstream {
  /** Requests for text. */
  readonly prompts: Asked[] = []
  /** Requests for the list of models. */
  readonly checks: Asked[] = []
  /** The replies to the next prompts, one each; after these, `reply`. */
  readonly next: Reply[] = []
  models = ['m']
  url = ''
  port = 0
  #server = this.#make()

  constructor(public reply: Reply) {}

  #make() {
    return createServer(async (incoming, response) => {
      let text = ''
      for await (const chunk of incoming) text += chunk
      const asked = {
        path: incoming.url!,
        headers: incoming.headers,
        body: JSON.parse(text || '{}'),
        at: performance.now(),
      }
      if (incoming.method === 'GET') {
        this.checks.push(asked)
        const known = asked.path.endsWith('/models')
        response.writeHead(known ? 200 : 404, { 'content-type': 'application/json' })
        response.end(known ? JSON.stringify({ data: this.models.map(id => ({ id })) }) : '{}')
        return
      }
      this.prompts.push(asked)
      await (this.next.shift() ?? this.reply)(asked, response)
    })
  }

  /** Listens, on the same port as before. */
  async start(): Promise<void> {
    this.#server = this.#make()
    await new Promise<void>(resolve => this.#server.listen(this.port, '127.0.0.1', resolve))
    this.port = (this.#server.address() as AddressInfo).port
    this.url = `http://127.0.0.1:${this.port}/v1`
  }

  /** Stops listening: connections are refused. */
  async stop(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise(resolve => this.#server.close(resolve))
  }
}

export async function upstream(t: Test, reply: Reply): Promise<Upstream> {
  const out = new Upstream(reply)
  await out.start()
  t.teardown(() => out.stop())
  return out
}
