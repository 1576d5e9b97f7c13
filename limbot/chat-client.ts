/** One conversation with the server: what both the chat and a single answer do. */

import { FsError } from '../api/errors.js'
import { type MemberRecord, type ModelRecord, status } from '../api/status.js'
import { explain } from '../cli/exit.js'
import { readText } from '../cli/files.js'
import { noSuch } from '../cli/suggest.js'
import { timeLimit } from '../fs/base/clock.js'
import { Room, summary } from './compact.js'
import type { Conversation } from './conversation.js'
import { used } from './footer.js'
import type { Link } from './link.js'
import { RemoteSession } from './remote-session.js'
import { readRole } from './roles.js'
import type { Settings } from './settings.js'
import { messageCount } from './text.js'
import { type Figures, type Step, turn } from './turn.js'

/** A step of a turn, or a note from limbot itself. */
export type Said = Step | { readonly is: 'note'; readonly line: string }

/** Connects a conversation and its settings with a session at the server, and carries out the exchanges. */
export class ChatClient {
  session = new RemoteSession(undefined)
  /** The figures of the last answer. */
  figures: Figures | undefined
  /** The number of answers since the start, and the tokens of their prompts and completions. */
  readonly total = { answers: 0, prompt: 0, completion: 0 }
  readonly room = new Room()
  #role = ''
  readonly #env: NodeJS.ProcessEnv

  constructor(
    readonly link: Link,
    readonly settings: Settings,
    readonly conversation: Conversation,
  ) {
    this.#env = link.io.env
  }

  /** The system prompt: the user's own, then the role's. */
  get system(): string {
    return [this.settings.get('system'), this.#role].filter(Boolean).join('\n\n')
  }

  /** Loads the role that is set. @throws Failure (usage) that says what is wrong with it */
  async role(): Promise<void> {
    const name = this.settings.get('role')
    const role = name === undefined ? undefined : await readRole(name, this.#env)
    this.#role = role?.system ?? ''
    this.settings.role = role?.values ?? new Map()
  }

  /**
   * Resumes a saved conversation with its settings.
   * @param note called with a line for each of its settings that cannot be used any more
   * @returns a line with its title, its length and the settings that were taken from it
   * @throws Failure that says what is wrong with the file
   */
  async resume(file: string, note: (line: string) => void): Promise<string> {
    const { conversation } = this
    const { taken, wrong } = this.settings.take(conversation.load(file))
    this.session.stale()
    this.figures = undefined
    for (const line of wrong) note(`${file}: ${line}`)
    try {
      await this.role()
    } catch (error) {
      // a missing role is an error on the command line; a role saved with the conversation may have been deleted since
      if (!taken.some(line => line.startsWith('role '))) throw error
      note(`${explain(error)}; continuing without it`)
      this.#role = ''
      this.settings.role = new Map()
    }
    return [`“${conversation.title}”, ${messageCount(conversation.all.length)}`, ...taken].join(' · ')
  }

  /** Sends further messages to this worker only; undefined: to the workers that the server chooses. */
  async at(worker: string | undefined): Promise<void> {
    await this.leave()
    this.session = new RemoteSession(worker)
  }

  /** The models in the server's `status`. */
  async models(signal: AbortSignal): Promise<readonly ModelRecord[]> {
    return (await this.#status(signal)).model
  }

  /** The workers in the server's `status`. */
  async workers(signal: AbortSignal): Promise<readonly MemberRecord[]> {
    return (await this.#status(signal)).worker
  }

  async #status(signal: AbortSignal) {
    return status.read(await readText(await this.link.root(signal), ['status'], signal))
  }

  /**
   * Carries out one exchange. The message is saved first, then the answer, however it ended.
   * @param typed the message as the user typed it, without attached files
   * @returns the answer's figures
   * @throws FsError, Failure with the reason why there is no answer, or only part of one; that part is saved
   */
  async *ask(content: string, signal: AbortSignal, typed = content): AsyncGenerator<Said, Figures> {
    const { conversation } = this
    const models = await this.#measure(signal)
    const digests = new Map(models.map(({ name, digest }) => [name, digest]))
    // the model never saw a question that got no answer
    if (conversation.unanswered !== undefined) conversation.undo(1)
    if (this.settings.get('compact')) yield* this.#fit(content, signal)
    for (let tries = 0; ; tries++) {
      const wanted = this.#wanted()
      conversation.ask(content, typed)
      let text = ''
      try {
        const steps = turn({ link: this.link, session: this.session, wanted, content, digests, signal })
        let step = await steps.next()
        for (; !step.done; step = await steps.next()) {
          if (step.value.is === 'text') text += step.value.text
          yield step.value
        }
        const figures = step.value
        const stopped = figures.reason === 'cancelled'
        // an answer that was stopped before its first word is not in the server's history, and not in ours
        conversation.answer(text.replace(/\n$/, ''), stopped || undefined)
        this.#count(figures)
        return figures
      } catch (error) {
        // the server's history does not have a turn that failed
        this.session.stale()
        yield* this.#refused(error, models)
        const full = error instanceof FsError && error.is('contextFull')
        const hopeless = tries > 0 || !this.settings.get('compact') || !this.room.holds(content, this.system)
        if (text !== '' || !full || hopeless) {
          if (text !== '') conversation.answer(text.replace(/\n$/, ''), explain(error))
          throw error
        }
        conversation.undo(1)
        this.room.missed()
        yield { is: 'note', line: explain(error) }
        yield* this.compact(signal)
      }
    }
  }

  /**
   * Has the older messages summarised. If the model makes no summary they are left out.
   * @throws FsError if interrupted, Failure if the server cannot be reached
   */
  async *compact(signal: AbortSignal): AsyncGenerator<Said> {
    const kept = this.room.kept(this.conversation.messages)
    if (kept === undefined) yield { is: 'note', line: 'there is nothing to summarise yet' }
    else yield* this.#compact(kept, signal)
  }

  /** Ends the session at the server. */
  async leave(): Promise<void> {
    if (!this.session.number) return
    const root = await this.link.root(timeLimit(200)).catch(() => undefined)
    if (root) await this.session.close(root)
  }

  /** Drops the chosen model if the server has no such model: it would refuse the next message as well. */
  *#refused(error: unknown, models: readonly ModelRecord[]): Generator<Said> {
    const model = this.settings.get('model')
    const known = models.map(({ name }) => name)
    if (model === undefined || models.length === 0 || known.includes(model)) return
    if (!(error instanceof FsError && (error.is('noWorker') || error.is('notFound')))) return
    this.settings.forget('model')
    this.conversation.save()
    if (this.settings.get('model') === undefined)
      yield {
        is: 'note',
        line: `${noSuch('model', model, known)}; the loaded model answers from now on`,
      }
  }

  #wanted() {
    const { settings, conversation } = this
    return {
      model: settings.get('model'),
      system: this.system,
      sampling: settings.sampling,
      messages: conversation.messages,
    }
  }

  /** Reads the models, and notes the size of the context of the model that will answer. */
  async #measure(signal: AbortSignal): Promise<readonly ModelRecord[]> {
    const models = await this.models(signal).catch(error => {
      if (error instanceof FsError) return []
      throw error
    })
    const name = this.settings.get('model')
    const model = models.find(model => (name ? model.name === name : model.loaded))
    if (model) this.room.context = model.context
    return models
  }

  async *#fit(content: string, signal: AbortSignal): AsyncGenerator<Said> {
    const { conversation, room } = this
    const kept = room.keep(conversation.messages, content, this.system, this.settings.get('max_tokens'))
    if (kept === undefined) return
    yield { is: 'note', line: 'the context is nearly full' }
    yield* this.#compact(kept, signal)
  }

  async *#compact(kept: number, signal: AbortSignal): AsyncGenerator<Said> {
    const { conversation, room } = this
    const { messages } = conversation
    const old = messages.slice(0, messages.length - kept)
    yield { is: 'note', line: `summarising ${messageCount(old.length)} …` }
    let note: string
    try {
      const root = await this.link.root(signal)
      const made = await summary(root, {
        messages: old,
        model: this.settings.get('model'),
        worker: this.session.worker,
        room,
        signal,
      })
      conversation.compact(kept, made.messages)
      note = `summarised ${messageCount(old.length)} in ${made.tokens || room.tokens(made.messages)} tokens`
    } catch (error) {
      if (signal.aborted || !(error instanceof FsError)) throw error
      conversation.compact(kept, [])
      note = `left out ${messageCount(old.length)}: ${explain(error)}`
    }
    this.session.stale()
    const rest =
      kept === 0 ? '' : `; the last ${kept === 2 ? 'exchange is' : `${kept / 2} exchanges are`} kept unchanged`
    const saved = this.settings.get('save') ? '; the saved conversation has all messages' : ''
    yield { is: 'note', line: `${note}${rest}${saved}` }
  }

  #count(figures: Figures): void {
    this.figures = figures
    this.total.answers++
    this.total.prompt += figures.prompt_tokens ?? 0
    this.total.completion += figures.completion_tokens ?? 0
    this.room.learn(used(figures), this.conversation.messages, this.system)
  }
}
