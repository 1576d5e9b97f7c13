/** The life of a session: how long it lasts while nobody uses it, and its end. */

import { fail } from '../../api/errors.js'
import type { Request } from '../../api/request.js'
import type { SavedSession } from '../../api/session.js'
import type { Written } from '../../api/written.js'
import type { Cancel, Clock } from '../../fs/base/clock.js'
import type { Context, User } from '../../fs/file.js'
import type { Budget } from './budget.js'
import { Conversation, type Message } from './conversation.js'
import { SESSION_TTL_S, UNUSED_TTL_S } from './limits.js'
import type { Spills } from './spills.js'
import type { Task } from './task.js'
import { Transcript } from './transcript.js'
import { Turns, type TurnsDeps } from './turns.js'

/** What a session needs of the root. */
export interface SessionDeps extends TurnsDeps {
  /** Returns the number of a new session. */
  id(): string
  /**
   * A session has changed; `session` is undefined if it has ended.
   * @param added the messages added to its history, if nothing else has changed
   */
  changed(id: string, session: Session | undefined, added?: readonly Message[]): void
  readonly clock: Clock
  readonly budget: Budget
  /** Where long transcripts go; undefined: they stay in memory. */
  readonly spills: Spills | undefined
}

/** A conversation of one user, with its turns and its transcript. */
export class Session {
  readonly conversation: Conversation
  readonly transcript: Transcript
  readonly turns: Turns
  #closed = false
  #ttl_s = SESSION_TTL_S
  #opens = 0
  /**
   * Whether anybody has opened one of its files by number, or sent it a command. Until then it is only a number that
   * was read.
   */
  #used = false
  #timer: Cancel | undefined

  /**
   * @param onEnd called once, when it ends in this process
   * @throws FsError `over the memory budget of this server`
   */
  constructor(
    readonly id: string,
    readonly user: User,
    readonly deps: SessionDeps,
    readonly onEnd: () => void,
  ) {
    const { budget, spills } = deps
    this.conversation = new Conversation(user, budget)
    this.transcript = new Transcript(user, budget, spills?.of(user.name))
    this.turns = new Turns(deps, this)
    this.#rest()
  }

  /** Its path in the tree. */
  get path(): string {
    return `session/${this.id}`
  }

  get closed(): boolean {
    return this.#closed
  }

  /** How long it lives while none of its files is open, in seconds. */
  get ttl_s(): number {
    return this.#ttl_s
  }

  set ttl_s(seconds: number) {
    this.#ttl_s = seconds
    this.#rest()
  }

  /**
   * Whether a listing shows it. A session made by reading `clone`, and closed again, is only a number until somebody
   * uses it.
   */
  get listed(): boolean {
    return this.#used || this.#opens > 0
  }

  /** @throws FsError if it has ended */
  checkOpen(): void {
    if (this.#closed) throw fail('notFound', `${this.path} is closed`)
  }

  /** @throws FsError if it has ended, or an answer is being generated */
  checkIdle(): void {
    this.checkOpen()
    if (this.turns.busy) throw fail('sessionBusy', 'an answer is being generated; cancel ends it')
  }

  /** Called when somebody opens one of its files by number, or says something in it. */
  use(): void {
    if (this.#used) return
    this.#used = true
    this.#rest()
  }

  /** Counts one more open file. @returns a function to call when the file is closed */
  opened(): () => void {
    this.#opens++
    this.#timer?.()
    let open = true
    return () => {
      if (!open) return
      open = false
      this.#opens--
      this.#rest()
    }
  }

  /** Submits the next turn. @param bytes that request and prompt take in memory */
  submit(request: Request, prompt: string, bytes: number, ctx: Context): Task {
    this.use()
    return this.turns.submit(request, prompt, bytes, ctx)
  }

  /** Called when a turn starts to wait or run. */
  began(): void {
    this.#timer?.()
  }

  /** Called when a turn has ended. */
  ended(): void {
    this.#rest()
  }

  /** Called when the state to save has changed. @param added the messages added, if nothing else has changed */
  changed(added?: readonly Message[]): void {
    if (this.#closed) return
    this.deps.changed(this.id, this, this.conversation.takeEdited() ? undefined : added)
  }

  /** Ends the session for good: the user has closed it, or its time to live has passed. */
  close(): void {
    if (this.#closed) return
    this.leave()
    // a program that has one of its files open would keep their content in memory, and the budget no longer counts it
    this.conversation.drop()
    this.deps.changed(this.id, undefined)
  }

  /** Ends the session in this process. What was saved remains for the next server. */
  leave(): void {
    if (this.#closed) return
    this.#closed = true
    this.#timer?.()
    this.turns.cancel()
    this.transcript.end()
    this.conversation.free()
    this.onEnd()
  }

  /** The state to save; the next server passes it to `restore`. */
  saved(): Written<SavedSession> {
    return { user: this.user, ttl: this.#ttl_s, ...this.conversation.saved() }
  }

  /** Takes over a saved state. @throws FsError if there is no room for it */
  restore(saved: SavedSession): void {
    this.conversation.restore(saved)
    for (const { role, content } of saved.history)
      this.transcript.write(role, `${content}${role === 'user' ? '' : '\n'}`)
    this.#used = true
    this.ttl_s = saved.ttl
  }

  /** Starts the time to live if nothing is open and nothing is running. */
  #rest(): void {
    this.#timer?.()
    if (this.#closed || this.#opens > 0 || this.turns.busy) return
    const ttl_s = this.#used ? this.#ttl_s : Math.min(this.#ttl_s, UNUSED_TTL_S)
    this.#timer = this.deps.clock.after(ttl_s * 1000, () => this.close(), true)
  }
}
