import { execFileSync } from 'node:child_process'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Home, llamboctl } from '../ctl/fixture.js'
import { Terminal } from '../terminal.js'

/** A test as tap gives it, as far as this needs it. */
interface Test {
  teardown(fn: () => unknown): unknown
}

/** Why tests with that program are skipped here; false: they are not. */
export function missing(program: string, ...args: string[]): string | false {
  try {
    execFileSync(program, args, { stdio: 'ignore' })
    return false
  } catch {
    return `${program} is missing: apt-get install ${program}`
  }
}

/** What a model is asked: the system prompt's and the user's words. */
export interface Asked {
  readonly system: string
  readonly user: string
  readonly schema: any
  /** Resolves when the client has hung up, or has the answer. */
  readonly closed: Promise<void>
}

/** Says what a model answers to that; undefined: never. */
export type Says = (asked: Asked) => Answer | Promise<Answer>
type Answer = object | string | undefined

/** A server with the OpenAI API whose model says what a test has it say. */
export class FakeModel {
  says: Says = () => ({ cause: 'it does not work', command: '' })
  readonly asked: Asked[] = []
  url = ''
  readonly #server = createServer(async (incoming: IncomingMessage, response) => {
    if (incoming.method === 'GET') return void response.end('{"data":[]}')
    let body = ''
    for await (const chunk of incoming) body += chunk
    const { messages, response_format } = JSON.parse(body)
    const of = (role: string) => messages.find((m: { role: string }) => m.role === role)?.content ?? ''
    const closed = new Promise<void>(resolve => response.on('close', () => resolve()))
    const asked = { system: of('system'), user: of('user'), schema: response_format?.json_schema?.schema, closed }
    // the prompt of one word by which a worker shows that it is ready
    if (asked.schema) this.asked.push(asked)
    const said = asked.schema ? await this.says(asked) : 'ready'
    if (said === undefined) return
    const content = typeof said === 'string' ? said : JSON.stringify(said)
    const events = [
      { choices: [{ delta: { content } }] },
      { choices: [{ delta: {}, finish_reason: 'stop' }] },
      '[DONE]',
    ]
    const lines = events.map(event => `data: ${typeof event === 'string' ? event : JSON.stringify(event)}\n\n`)
    response.end(lines.join(''))
  })

  async open(t: Test): Promise<this> {
    await new Promise<void>(resolve => this.#server.listen(0, '127.0.0.1', resolve))
    this.url = `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/v1`
    t.teardown(() => {
      this.#server.closeAllConnections()
      this.#server.close()
    })
    return this
  }
}

/** A home whose cluster's one worker has that model behind it. */
export async function clusterHome(t: Test, model: FakeModel): Promise<Home> {
  const home = new Home(t, { LLAMBO_ENGINE: 'openai', LLAMBO_ENGINE_URL: model.url, LLAMBO_ENGINE_MODEL: 'm' })
  await home.up()
  return home
}

/** An agent that a test has started does not outlive it for long. */
const SOON = '_llambo_start+=(--idle 20)'

export interface ShellOptions {
  /** Lines of the start file before the sentinel, and behind it. */
  before?: string
  after?: string
  env?: NodeJS.ProcessEnv
  sentinel?: boolean
  /** What runs in the terminal, if it is more than the shell. */
  program?: readonly string[]
}

/** An interactive zsh in a terminal, with the sentinel in its start file; resolves when it shows its prompt. */
export async function zsh(t: Test, home: Home, o: ShellOptions = {}): Promise<Terminal> {
  const { before = '', after = '', sentinel = true, program = ['zsh', '-d', '-i'] } = o
  home.file(
    '.zshrc',
    `PROMPT='%% '\n${before}\n${sentinel ? `eval "$('${process.execPath}' '${llamboctl}' shell zsh)"; ${SOON}` : ''}\n${after}\n`,
  )
  const env = { ...home.env, ZDOTDIR: home.dir, LC_ALL: 'C.UTF-8', SHELL: '/bin/zsh', ...o.env }
  const terminal = await Terminal.start(t, program, { env, cwd: home.dir, columns: 100 })
  await terminal.screen(/^% *$/m)
  return terminal
}

/** An interactive bash in a terminal, with the sentinel in its start file; resolves when it shows its prompt. */
export async function bash(t: Test, home: Home, o: ShellOptions = {}): Promise<Terminal> {
  const { before = '', after = '' } = o
  home.file(
    '.bashrc',
    `PS1='$ '\n${before}\neval "$('${process.execPath}' '${llamboctl}' shell bash)"; ${SOON}\n${after}\n`,
  )
  const env = { ...home.env, LC_ALL: 'C.UTF-8', ...o.env }
  const terminal = await Terminal.start(t, ['bash', '-i'], { env, cwd: home.dir, columns: 100 })
  await terminal.screen(/^\$ *$/m)
  return terminal
}
