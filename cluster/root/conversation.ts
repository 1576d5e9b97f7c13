/** The state of one conversation: its settings and its history, within their bounds and their user's memory. */

import { MAX_TURNS } from '../../api/conversation.js'
import { fail } from '../../api/errors.js'
import type { ChatMessage, Request } from '../../api/request.js'
import type { SavedSession } from '../../api/session.js'
import type { Written } from '../../api/written.js'
import { quote } from '../../fs/base/quote.js'
import type { User } from '../../fs/file.js'
import type { Budget, BudgetShare } from './budget.js'
import { MAX_HISTORY, SESSION_BYTES, TURN_BYTES } from './limits.js'
import { type Settings, samplingLines } from './settings.js'
import { jsonBytes, textBytes } from './weight.js'

/** A message of the history. `stopped` marks an answer that was cancelled. */
export type Message = ChatMessage & { stopped?: true }

/** What a conversation adds to what is saved of its session. */
type Saved = Pick<SavedSession, 'settings' | 'model' | 'schema' | 'history'>

/** One conversation. This server, which created it, holds its history; an engine only caches prefixes of it. */
export class Conversation {
  /** Sampling and system prompt. `setSystem` changes the system prompt, because it counts. */
  settings: Settings = { sampling: {}, system: '' }
  model: string | undefined
  #schema: Saved['schema']
  #history: Message[] = []
  #historyBytes = 0
  #edited = false
  /** How many messages of the history an earlier server had saved. */
  #restored = 0
  /** Where in the history a turn belongs that the earlier server began: behind what it had saved. */
  #recoveredAt = 0
  readonly #settingsShare: BudgetShare
  readonly #historyShare: BudgetShare

  /** @throws FsError `over the memory budget of this server` */
  constructor(user: User, budget: Budget) {
    this.#settingsShare = budget.hold(user)
    this.#settingsShare.grow(SESSION_BYTES)
    this.#historyShare = budget.hold(user)
  }

  get history(): readonly Message[] {
    return this.#history
  }

  /** Bytes of memory that the history takes. */
  get held(): number {
    return this.#historyShare.bytes
  }

  /** Sets the system prompt. @throws FsError `over the memory budget of this server` */
  setSystem(system: string): void {
    this.#count(system, this.#schema)
    this.settings.system = system
  }

  /** Sets the JSON schema of all answers; undefined: none. @throws FsError `over the memory budget of this server` */
  setSchema(schema: Saved['schema']): void {
    this.#count(this.settings.system, schema)
    this.#schema = schema
  }

  /** Appends to the history. @throws FsError `file too large`, `over the memory budget of this server` */
  add(...messages: readonly Message[]): void {
    this.#insert(this.#history.length, messages)
  }

  /**
   * Adds a turn that an earlier server began. It belongs behind the restored history: turns that were asked of this
   * server may have ended before it was found. @throws FsError as `add` does
   */
  addRecovered(...messages: readonly Message[]): void {
    const at = this.#recoveredAt
    if (at < this.#history.length) this.#edited = true
    this.#insert(at, messages)
    this.#recoveredAt = at + messages.length
  }

  #insert(at: number, messages: readonly Message[]): void {
    const size = messages.reduce((n, { content }) => n + Buffer.byteLength(content), this.#historyBytes)
    if (size > MAX_HISTORY)
      throw fail('tooLarge', `history over ${MAX_HISTORY} bytes; write 'reset' to ctl to clear it`)
    if (this.#history.length + messages.length > MAX_TURNS)
      throw fail('tooLarge', `history over ${MAX_TURNS} messages; write 'reset' to ctl to clear it`)
    this.#historyShare.grow(messages.reduce((n, { content }) => n + TURN_BYTES + textBytes(content), 0))
    this.#historyBytes = size
    this.#history.splice(at, 0, ...messages)
  }

  /** Appends a message that the user wrote into the history. @throws FsError as `add` does */
  edit(message: Message): void {
    this.add(message)
    this.#edited = true
  }

  clear(): void {
    this.#history = []
    this.#historyBytes = 0
    this.#recoveredAt = 0
    this.#edited = true
    this.#historyShare.resize(0)
  }

  /**
   * Whether the history was edited since the last call. If so, saving only the messages that a turn has added is not
   * enough.
   */
  takeEdited(): boolean {
    const edited = this.#edited
    this.#edited = false
    return edited
  }

  /** Completes a request that has only the messages of a new turn. @param system the prompt if this one has none */
  complete(request: Request, system: string): Request {
    const { messages: added = [], schema = this.#schema } = request.generate
    const content = this.settings.system || system
    const first: ChatMessage[] = content ? [{ role: 'system', content }] : []
    const past = this.#history.map(({ role, content }) => ({ role, content }))
    return {
      ...request,
      generate: {
        ...request.generate,
        messages: [...first, ...past, ...added],
        ...(schema !== undefined && { schema }),
      },
    }
  }

  /**
   * The messages of a complete request that are behind the history as it was restored. The history may be longer by
   * now.
   */
  newIn({ generate: { messages = [] } }: Request): readonly ChatMessage[] {
    return messages.slice((messages[0]?.role === 'system' ? 1 : 0) + this.#restored)
  }

  /** Model, sampling and schema, as the commands that would set them. */
  lines(): string[] {
    return [
      ...(this.model ? [`model ${quote(this.model)}`] : []),
      ...samplingLines(this.settings.sampling),
      ...(this.#schema === undefined ? [] : [`schema ${quote(JSON.stringify(this.#schema))}`]),
    ]
  }

  /** The state to save; the next server passes it to `restore`. */
  saved(): Written<Saved> {
    return { settings: this.settings, model: this.model, schema: this.#schema, history: this.#history }
  }

  /** Takes over a saved state. @throws FsError if there is no room for it */
  restore({ settings: { sampling, system }, model, schema, history }: Saved): void {
    this.#count(system, schema)
    this.settings = { sampling, system }
    this.model = model
    this.#schema = schema
    this.add(...history)
    this.#restored = this.#recoveredAt = history.length
  }

  /** Counts nothing any more: the session has ended. */
  free(): void {
    this.#settingsShare.free()
    this.#historyShare.free()
  }

  /** Drops everything that takes memory. */
  drop(): void {
    this.clear()
    this.settings = { sampling: {}, system: '' }
    this.#schema = undefined
  }

  /** Counts the settings as they are about to be. @throws FsError if there is no room */
  #count(system: string, schema: unknown): void {
    const json = schema === undefined ? 0 : jsonBytes(JSON.stringify(schema))
    this.#settingsShare.resize(SESSION_BYTES + textBytes(system) + json)
  }
}
