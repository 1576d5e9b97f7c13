/** The files of a root that requests are written to: `data`, `generate` and `embed`. */
import { type Embedded, type EmbedRequest, parseEmbedRequest } from '../../api/embed.js'
import { fail } from '../../api/errors.js'
import { type ChatMessage, parseRequest, plainRequest, type Request } from '../../api/request.js'
import type { Sampling } from '../../api/sampling.js'
import type { Context, File, Owner, User } from '../../fs/file.js'
import { AppendLog } from '../../fs/kit/append-log.js'
import type { Budget } from './budget.js'
import type { Exchange } from './exchange.js'
import { COPIES, MAX_ANSWER, MAX_PROMPT, MAX_REQUEST, TASK_BYTES } from './limits.js'
import { PromptFile } from './prompt-file.js'
import type { Sessions } from './sessions.js'
import { layered, type Settings } from './settings.js'
import type { Task } from './task.js'
import type { Tasks } from './tasks.js'
import { jsonBytes, textBytes } from './weight.js'

interface RootPromptsOptions {
  owner: Owner
  tasks: Tasks
  sessions: Sessions
  budget: Budget
  settings: Settings
  /** The sampling that suits the request's model, where neither the user nor the operator has set anything. */
  base(request: Request): Partial<Sampling>
  /** Computes vectors for texts. */
  embed(request: EmbedRequest, user: User, signal: AbortSignal): Promise<Embedded>
  /** Called with each error that a request ends with. */
  failed(error: Error, user: User, file: string): void
}

export class RootPrompts {
  readonly data: File
  readonly generate: File
  readonly embed: File
  readonly #o: RootPromptsOptions

  constructor(o: RootPromptsOptions) {
    this.#o = o
    const { owner, tasks } = o
    const failed = (file: string) => (error: Error, ctx: Context) => o.failed(error, ctx.user, file)
    this.data = new PromptFile({
      owner,
      limit: MAX_PROMPT,
      accept: ({ user }) => tasks.accept(user, plainRequest([])),
      begin: (prompt, ctx) => this.#begin(prompt, ctx),
      failed: failed('data'),
    }).file
    this.generate = new PromptFile({
      owner,
      limit: MAX_REQUEST,
      accept: ({ user }) => tasks.accept(user),
      begin: (json, ctx) => this.#beginGenerate(json, ctx),
      failed: failed('generate'),
    }).file
    this.embed = new PromptFile({
      owner,
      limit: MAX_REQUEST,
      begin: (json, ctx) => this.#beginEmbed(json, ctx),
      failed: failed('embed'),
    }).file
  }

  #begin(prompt: string, ctx: Context): Exchange {
    // the newline that `echo` adds is not part of the prompt
    const content = prompt.replace(/\r?\n$/, '')
    return this.#submit('data', plainRequest([{ role: 'user', content }]), content, textBytes(content), ctx)
  }

  #beginGenerate(json: string, ctx: Context): Exchange {
    const bytes = jsonBytes(json)
    // before parsing: nested JSON takes many times its text
    this.#o.budget.check(ctx.user.name, bytes)
    const request = parseRequest(json)
    if (request.session !== undefined) return this.#o.sessions.generate(request.session, json, ctx)
    const { prompt, messages } = request.generate
    const task = this.#submit('generate', request, prompt ?? messages?.at(-1)?.content ?? '', bytes, ctx)
    return { answer: task.stream, abandon: () => task.abandon() }
  }

  #beginEmbed(json: string, { user }: Context): Exchange {
    const { budget, embed, failed } = this.#o
    const share = budget.hold(user)
    share.grow(TASK_BYTES + COPIES * jsonBytes(json))
    let request: EmbedRequest
    try {
      request = parseEmbedRequest(json)
    } catch (error) {
      share.free()
      throw error
    }
    const answer = new AppendLog(MAX_ANSWER, budget.hold(user))
    const controller = new AbortController()
    embed(request, user, controller.signal)
      .then(embedded => {
        answer.append(`${JSON.stringify(embedded)}\n`)
        answer.end()
      })
      // also if the answer is too large for the log
      .catch(error => {
        answer.end(error as Error)
        failed(error as Error, user, 'embed')
      })
      .finally(() => share.free())
    return { answer, abandon: () => controller.abort(fail('cancelled')) }
  }

  /** Submits a request that belongs to no session. @param bytes that request and prompt take in memory */
  #submit(file: string, request: Request, prompt: string, bytes: number, { user }: Context): Task {
    const { tasks, settings, base, failed } = this.#o
    const { messages } = request.generate
    const { system, sampling } = settings
    const first: ChatMessage[] = system && messages?.[0]?.role !== 'system' ? [{ role: 'system', content: system }] : []
    const whole: Request = messages
      ? { ...request, generate: { ...request.generate, messages: [...first, ...messages] } }
      : request
    return tasks.submit({
      user,
      request: whole,
      prompt,
      bytes,
      asked: layered(sampling, request.generate),
      base: base(request),
      onEnd: ({ error }) => error && failed(error, user, file),
    })
  }
}
