/** The turns of a session: one answer after another, each to the history that the earlier ones have left. */

import { fail } from '../../api/errors.js'
import type { ChatMessage, Request } from '../../api/request.js'
import type { Sampling } from '../../api/sampling.js'
import type { Context, User } from '../../fs/file.js'
import type { Conversation, Message } from './conversation.js'
import { layered, type Settings } from './settings.js'
import type { Task } from './task.js'
import type { Submission, Tasks } from './tasks.js'
import type { Transcript } from './transcript.js'

/** What turns need of the root. */
export interface TurnsDeps {
  readonly tasks: Tasks
  /** The root's settings. Those of a session take precedence. */
  readonly settings: Settings
  /** The sampling that suits the request's model, where neither the user nor the operator has set anything. */
  base(request: Request): Partial<Sampling>
  /** Called with each error that an answer ends with. @param file path of the file that the error is about */
  onError(error: Error, ctx: Context, file: string): void
}

/** The session that the turns belong to. */
interface Owner {
  readonly id: string
  readonly user: User
  readonly path: string
  readonly closed: boolean
  readonly conversation: Conversation
  readonly transcript: Transcript
  /** Called when a turn starts to wait or run. */
  began(): void
  /** Called when a turn has ended. */
  ended(): void
  /** Called when a turn has added messages to the history. */
  changed(added: readonly Message[]): void
}

/** The turns of one session. */
export class Turns {
  readonly #deps: TurnsDeps
  readonly #session: Owner
  readonly #running = new Set<Task>()
  /** Settles when the last submitted turn has ended: the prompts of a session run in order. */
  #tail: Promise<unknown> = Promise.resolve()
  #last: Task | undefined

  constructor(deps: TurnsDeps, session: Owner) {
    this.#deps = deps
    this.#session = session
  }

  /** Whether a turn waits or runs. */
  get busy(): boolean {
    return this.#running.size > 0
  }

  /** The task of the newest turn. */
  get last(): Task | undefined {
    return this.#last
  }

  /** Ends all turns on the user's request. */
  cancel(): void {
    for (const task of [...this.#running]) task.cancel()
  }

  /**
   * Submits the next turn: the request's messages appended to the history as it is when the earlier turns have ended.
   * @param bytes that request and prompt take in memory
   */
  submit(request: Request, prompt: string, bytes: number, ctx: Context): Task {
    const { tasks, settings, base } = this.#deps
    const { id, user, path, closed, conversation, transcript } = this.#session
    const asked: Request = { ...request, model: request.model ?? conversation.model }
    const prepare = (task: Task) => {
      task.grow(conversation.held)
      transcript.write('user', prompt)
      return conversation.complete(asked, settings.system)
    }
    const submission: Submission = {
      user,
      request: asked,
      prompt,
      bytes,
      asked: layered(settings.sampling, conversation.settings.sampling, request.generate),
      base: base(request),
      session: id,
      earlier: { ended: this.#tail, prepare },
      onEnd: task => this.#ended(task, request.generate.messages ?? [], ctx, 'add'),
    }
    const task = closed ? tasks.refuse(submission, fail('notFound', `${path} is closed`)) : tasks.submit(submission)
    this.#last = task
    if (!task.ended) this.#follow(task)
    return task
  }

  /**
   * Takes over a turn that an earlier server began. Its new messages are those behind the saved history; a later turn
   * may have ended before this one was found.
   */
  adopt(request: Request, ctx: Context): { began(task: Task): void; ended(task: Task): void } {
    const added = this.#session.conversation.newIn(request)
    return {
      began: task => {
        this.#last = task
        this.#follow(task)
      },
      ended: task => this.#ended(task, added, ctx, 'addRecovered'),
    }
  }

  /** Marks a task as waiting or running: later prompts run after it. */
  #follow(task: Task): void {
    this.#running.add(task)
    this.#session.began()
    // wait for all earlier turns too: a turn that is cancelled while it waits must not let the next one overtake them
    const before = this.#tail
    const written = this.#session.transcript.follow(task.answer)
    this.#tail = before.then(() => written)
  }

  #ended(task: Task, added: readonly ChatMessage[], ctx: Context, how: 'add' | 'addRecovered'): void {
    const session = this.#session
    const failed = (error: Error) => this.#deps.onError(error, ctx, session.path)
    if (task.error) failed(task.error)
    this.#running.delete(task)
    session.ended()
    const content = task.answer.text()
    if (session.closed) return
    // a failed turn is not added; a cancelled answer is added and marked `stopped`
    if (task.state === 'failed' || (task.state === 'cancelled' && content === '')) return
    const stopped = task.state === 'cancelled'
    const answer: Message = { role: 'assistant', content: content.replace(/\n$/, ''), ...(stopped && { stopped }) }
    const turn = [...added, answer]
    try {
      session.conversation[how](...turn)
    } catch (error) {
      // the reader gets the answer all the same
      return failed(error as Error)
    }
    session.changed(turn)
  }
}
