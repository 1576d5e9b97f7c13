/** The sentinel's agent: a process of one user that shells ask over a unix socket, and that asks the cluster. */

import { randomBytes } from 'node:crypto'
import { chmodSync, linkSync, renameSync, statSync, unlinkSync } from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { variable } from '../../api/environment.js'
import type { RequestBody } from '../../api/request.js'
import type { Written } from '../../api/written.js'
import { answerLine } from './answer.js'
import { FAILURE_MS, LOOK_MS, MAX_ASKING, MAX_QUESTION, MAX_REMOVED, QUESTION_MS, TYPING_MS } from './limits.js'
import { asksWhatWasSent, isAnswer, parseQuestion, type Question } from './question.js'
import { hasSecret, type Removed, takeOut } from './redact.js'
import { request } from './request.js'
import { end, output } from './screen.js'
import { type Sent, sentText } from './sent.js'

/** What the agent asks. `ask` resolves with the text that a model answers. */
export interface Oracle {
  ask(request: RequestBody, signal: AbortSignal): Promise<string>
}

/** Whether anything answers at a unix socket. */
const answers = (path: string) =>
  new Promise<boolean>(resolve => {
    const socket = connect(path)
      .once('connect', () => resolve(true))
      .once('error', () => resolve(false))
      .once('close', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })

const inodeOf = (path: string): number | undefined => statSync(path, { throwIfNoEntry: false })?.ino

/** Removes a socket at which nothing answered, unless another agent has put its own there meanwhile. */
function clear(path: string, ino: number, aside: string): void {
  try {
    // of several agents that find the same socket, one renames it
    renameSync(path, aside)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return
    throw error
  }
  try {
    if (inodeOf(aside) !== ino) linkSync(aside, path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  } finally {
    unlinkSync(aside)
  }
}

/**
 * Reads one line. What comes after it is not kept, but it is read, because otherwise the end of the connection would
 * not be noticed.
 * @throws if the line is too long or late, or the other end closes before it is complete
 */
const question = (socket: Socket) =>
  new Promise<string>((resolve, reject) => {
    const parts: Buffer[] = []
    let room = MAX_QUESTION
    const late = setTimeout(() => reject(new Error('no question')), QUESTION_MS)
    socket.once('close', () => {
      clearTimeout(late)
      reject(new Error('hung up'))
    })
    socket.on('data', (data: Buffer) => {
      if (room < 0) return
      const end = data.indexOf(10)
      parts.push(end < 0 ? data : data.subarray(0, end))
      room -= data.length
      if (end >= 0 || room < 0) {
        clearTimeout(late)
        if (end < 0) reject(new Error('too long'))
        else resolve(Buffer.concat(parts).toString('utf8'))
        room = -1
      }
    })
  })

/**
 * Answers shells: one line in, one line out. It never reports an error: if there is no useful answer, it sends an empty
 * line.
 */
export class Agent {
  readonly #server = createServer(socket => void this.#serve(socket))
  /** The newest question of each kind from each shell. */
  readonly #asking = new Map<string, { readonly number: number; readonly controller: AbortController }>()
  /** What was sent last. It is kept in memory only, and is gone with the agent. */
  #sent: Written<Sent> | undefined
  #idle: NodeJS.Timeout | undefined
  #look: NodeJS.Timeout | undefined
  /** The agent's socket, as long as its name leads to this agent. */
  #held: { path: string; ino: number } | undefined
  /** Resolves when the agent has been idle for long enough, or was closed. */
  readonly ended: Promise<void>

  constructor(
    readonly oracle: Oracle,
    readonly env: NodeJS.ProcessEnv,
    readonly idle_s: number,
  ) {
    this.ended = new Promise(resolve => this.#server.once('close', resolve))
    this.#server.maxConnections = MAX_ASKING
  }

  /**
   * Listens at a path, for this user only. The name appears when the agent can be asked.
   * @returns false if another agent answers there
   */
  async listen(dir: string, name: string): Promise<boolean> {
    const path = join(dir, name)
    const beside = join(dir, `${name}.${randomBytes(4).toString('hex')}`)
    await new Promise<void>((resolve, reject) => this.#server.once('error', reject).listen(beside, resolve))
    chmodSync(beside, 0o600)
    try {
      for (;;) {
        try {
          linkSync(beside, path)
          this.#held = { path, ino: statSync(beside).ino }
          unlinkSync(beside)
          this.#rest()
          this.#look = setInterval(() => this.#own || this.close(), LOOK_MS)
          return true
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
        }
        const there = inodeOf(path)
        if (await answers(path)) return false
        if (there !== undefined) clear(path, there, `${beside}.old`)
      }
    } finally {
      if (!this.#held) this.close()
    }
  }

  /** Cancels all questions, stops listening and removes the socket. */
  close(): void {
    clearTimeout(this.#idle)
    clearInterval(this.#look)
    for (const { controller } of this.#asking.values()) controller.abort()
    if (this.#own) unlinkSync(this.#held!.path)
    this.#held = undefined
    this.#server.close()
  }

  /**
   * Whether the socket's name still leads to this agent. An agent that nobody can find, or whose name leads to another,
   * is of no use.
   */
  get #own(): boolean {
    const { path, ino } = this.#held ?? {}
    return path !== undefined && inodeOf(path) === ino
  }

  /** Restarts the idle timer. */
  #rest(): void {
    clearTimeout(this.#idle)
    if (this.#held) this.#idle = setTimeout(() => this.close(), this.idle_s * 1000)
  }

  async #serve(socket: Socket): Promise<void> {
    socket.on('error', () => socket.destroy())
    this.#rest()
    let text: string
    try {
      text = await question(socket)
    } catch {
      return void socket.destroy()
    }
    const asked = parseQuestion(text)
    // whatever goes wrong, the answer is an empty line
    const line = asksWhatWasSent(text)
      ? sentText(this.#sent)
      : asked
        ? await this.#answer(asked, socket).catch(() => '')
        : ''
    this.#rest()
    if (!socket.destroyed) socket.end(`${line}\n`)
  }

  async #answer(asked: Question, socket: Socket): Promise<string> {
    const { kind, pid, number, line, rc } = asked
    if (kind === 'failure' ? isAnswer(line, rc) : hasSecret(line, this.env)) return ''
    const key = `${pid} ${kind}`
    const controller = new AbortController()
    const last = this.#asking.get(key)
    // bash starts a process for each question, and a later question may arrive first
    if (last && last.number > number) return ''
    last?.controller.abort()
    this.#asking.set(key, { number, controller })
    socket.once('close', () => controller.abort())
    const late = setTimeout(() => controller.abort(), kind === 'failure' ? FAILURE_MS : TYPING_MS)
    const { signal } = controller
    const gone = new Promise<string>(resolve => signal.addEventListener('abort', () => resolve(''), { once: true }))
    try {
      return await Promise.race([gone, this.#ask(asked, signal)])
    } finally {
      clearTimeout(late)
      controller.abort()
      if (this.#asking.get(key)?.controller === controller) this.#asking.delete(key)
    }
  }

  async #ask(asked: Question, signal: AbortSignal): Promise<string> {
    const removed: Removed[] = []
    const clean = (text: string) => {
      const taken = takeOut(text, this.env)
      removed.push(...taken.removed)
      return taken.text
    }
    // secrets are taken out before the text is cut: a secret that is cut in two would not be recognised
    const seen = asked.kind === 'failure' ? end(clean(await output(asked, signal))) : ''
    const safe = { ...asked, line: clean(asked.line), cwd: clean(asked.cwd) }
    signal.throwIfAborted()
    const given = request(safe, seen, variable(this.env, 'LLAMBO_SHELL_MODEL'))
    this.#sent = { text: given.messages.at(-1)!.content, removed: removed.slice(0, MAX_REMOVED) }
    const said = await this.oracle.ask(given, signal)
    return answerLine(said, asked)
  }
}
