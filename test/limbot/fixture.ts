/** A scripted model, a server that asks it, and limbot in a terminal. */
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import { Home } from '../ctl/fixture.js'
import { Terminal, type TerminalOptions } from '../terminal.js'

export const limbot = fileURLToPath(new URL('../../limbot/limbot.js', import.meta.url))

/** A request that the model received; `closed` resolves when its connection is closed. */
export interface Asked {
  readonly messages: readonly { role: string; content: string }[]
  readonly temperature: number
  readonly closed: Promise<void>
}

/** Makes the answer to a message: a text, or its pieces one after the other. */
type Say = (last: string, asked: Asked) => string | AsyncIterable<string>

const event = (data: object | string) => `data: ${typeof data === 'string' ? data : JSON.stringify(data)}\n\n`

/** A model whose answers the test gives, behind the OpenAI API. */
export class Model {
  readonly asked: Asked[] = []
  readonly #server = createServer()
  url = ''

  private constructor(readonly say: Say) {}

  static async start(t: Pick<Test, 'teardown'>, say: Say): Promise<Model> {
    const model = new Model(say)
    model.#server.on('request', async (request, response) => {
      if (request.method === 'GET') return void response.end('{"data":[]}')
      let body = ''
      for await (const chunk of request) body += chunk
      const closed = new Promise<void>(resolve => response.on('close', resolve))
      const { messages = [], temperature } = JSON.parse(body)
      const asked = { messages, temperature, closed }
      const last = messages.at(-1)?.content ?? ''
      // `hi` is the probe that a worker must answer before it gets other prompts
      if (messages.length > 0 && last !== 'hi') model.asked.push(asked)
      await model.#answer(response, say(last, asked))
    })
    await new Promise<void>(resolve => model.#server.listen(0, '127.0.0.1', resolve))
    model.url = `http://127.0.0.1:${(model.#server.address() as AddressInfo).port}/v1`
    t.teardown(() => {
      model.#server.closeAllConnections()
      model.#server.close()
    })
    return model
  }

  async #answer(response: ServerResponse, said: string | AsyncIterable<string>): Promise<void> {
    let tokens = 0
    for await (const content of typeof said === 'string' ? [said] : said) {
      if (response.destroyed) return
      tokens++
      response.write(event({ choices: [{ delta: { content } }] }))
    }
    response.write(event({ choices: [{ delta: {}, finish_reason: 'stop' }] }))
    response.end(event({ choices: [], usage: { prompt_tokens: 10, completion_tokens: tokens } }) + event('[DONE]'))
  }

  /** The messages of the last request, each as `role: content`. */
  get given(): string[] {
    return (this.asked.at(-1)?.messages ?? []).map(({ role, content }) => `${role}: ${content}`)
  }
}

/** A user's home whose server asks that model. */
export function homeOf(t: Pick<Test, 'teardown'>, model: Model, env: NodeJS.ProcessEnv = {}): Home {
  return new Home(t, {
    LLAMBO_ENGINE: 'openai',
    LLAMBO_ENGINE_URL: model.url,
    LLAMBO_ENGINE_MODEL: 'm',
    LLAMBO_MDNS: 'off',
    ...env,
  })
}

/** Starts a chat in a real terminal, and waits for its prompt. */
export async function chat(
  t: Test,
  home: Home,
  args: readonly string[] = [],
  o: Partial<TerminalOptions> = {},
): Promise<Terminal> {
  const env = { ...home.env, ...o.env }
  const terminal = await Terminal.start(t, [process.execPath, limbot, ...args], { cwd: home.dir, ...o, env })
  await terminal.screen(/^You:$/m)
  return terminal
}
