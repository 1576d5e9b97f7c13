import { explain } from '../ctl/common/exit.js'
import { readText } from '../ctl/common/files.js'
import { timeLimit } from '../fs/clock.js'
import { FsError } from '../fs/errors.js'
import { parseRecords } from '../fs/quote.js'
import { Room, summary } from './compact.js'
import { type Conversation, messages } from './conversation.js'
import { used } from './footer.js'
import type { Link } from './link.js'
import { readRole } from './roles.js'
import { Session } from './session.js'
import type { Settings } from './settings.js'
import { type Figures, type Step, turn } from './turn.js'

/** Of a turn, and what limbot itself has to say on the way. */
export type Said = Step | { readonly is: 'note'; readonly line: string }

/** A model, as `status` has it. */
export interface Model {
  readonly name: string
  readonly context: number
  readonly loaded: boolean
  readonly digest: string
}

/** A conversation with whichever server there is: what both the chat and a single answer do. */
export class Talk {
  session = new Session(undefined)
  /** Of the last answer. */
  figures: Figures | undefined
  /** Of all answers since the start: the tokens that were read and made. */
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

  get system(): string {
    return [this.settings.get('system'), this.#role].filter(Boolean).join('\n\n')
  }

  /** Takes the role that is set. @throws Failure (usage) naming what is wrong with it */
  async role(): Promise<void> {
    const name = this.settings.get('role')
    const role = name === undefined ? undefined : await readRole(name, this.#env)
    this.#role = role?.system ?? ''
    this.settings.role = role?.values ?? new Map()
  }

  /**
   * Goes on with a conversation that was kept, as it was.
   * @param note told, a line each, what of it cannot be had any more
   * @returns what it is, and what was taken up of what had been chosen for it
   * @throws Failure naming what is wrong with the file
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
      // one from the command line is a mistake; one that was there when it was chosen is missed
      if (!taken.some(line => line.startsWith('role '))) throw error
      note(`${explain(error)}; goes on without it`)
      this.#role = ''
      this.settings.role = new Map()
    }
    return [`“${conversation.title}”, ${messages(conversation.all.length)}`, ...taken].join(' · ')
  }

  /** Talks to that worker only; undefined: to whichever is chosen. */
  async at(worker: string | undefined): Promise<void> {
    await this.leave()
    this.session = new Session(worker)
  }

  /** The models there are. */
  async models(signal: AbortSignal): Promise<Model[]> {
    return (await this.records(signal))
      .filter(({ word }) => word === 'model')
      .map(({ attrs }) => ({
        name: attrs.name ?? '',
        context: Number(attrs.context ?? 0),
        loaded: attrs.loaded === 'yes',
        digest: attrs.digest ?? '',
      }))
  }

  async records(signal: AbortSignal): Promise<ReturnType<typeof parseRecords>> {
    return parseRecords(await readText(await this.link.root(signal), ['status'], signal))
  }

  /**
   * One exchange: the message is kept, then what came of it, however it ended.
   * @param typed the message without what is attached to it
   * @throws FsError, Failure why there is no answer, or no more of it; what came is kept
   */
  async *ask(content: string, signal: AbortSignal, typed = content): AsyncGenerator<Said, Figures> {
    const { conversation } = this
    const models = await this.#measure(signal)
    const digests = new Map(models.map(({ name, digest }) => [name, digest]))
    // one that had no answer is not a message that the model has seen
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
        // the server's own history leaves out what was ended before its first word, and so do we
        conversation.answer(text.replace(/\n$/, ''), stopped || undefined)
        this.#count(figures)
        return figures
      } catch (error) {
        // a turn that failed is not in the server's history
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

  /** Sums up the older messages. @throws FsError why that cannot be */
  async *compact(signal: AbortSignal): AsyncGenerator<Said> {
    const kept = this.room.kept(this.conversation.messages)
    if (kept === undefined) yield { is: 'note', line: 'there is nothing to sum up' }
    else yield* this.#compact(kept, signal)
  }

  /** Ends the session at the server. */
  async leave(): Promise<void> {
    if (!this.session.number) return
    const root = await this.link.root(timeLimit(200)).catch(() => undefined)
    if (root) await this.session.close(root)
  }

  /** A model that no worker serves and that is not there is forgotten: the next message would be refused as well. */
  *#refused(error: unknown, models: readonly Model[]): Generator<Said> {
    const model = this.settings.get('model')
    if (model === undefined || models.length === 0 || models.some(({ name }) => name === model)) return
    if (!(error instanceof FsError && (error.is('noWorker') || error.is('notFound')))) return
    this.settings.forget('model')
    this.conversation.save()
    if (this.settings.get('model') === undefined)
      yield {
        is: 'note',
        line: `there is no model ${model}: whichever is loaded answers from here on; /model lists them`,
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

  /** The models there are, and so how large the context is of the one that is going to answer. */
  async #measure(signal: AbortSignal): Promise<Model[]> {
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
    yield { is: 'note', line: 'the context fills up' }
    yield* this.#compact(kept, signal)
  }

  async *#compact(kept: number, signal: AbortSignal): AsyncGenerator<Said> {
    const { conversation, room } = this
    const { messages } = conversation
    const old = messages.slice(0, messages.length - kept)
    yield { is: 'note', line: `${old.length} messages are summed up …` }
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
      note = `in ${made.tokens || room.tokens(made.messages)} tokens`
    } catch (error) {
      if (signal.aborted || !(error instanceof FsError)) throw error
      conversation.compact(kept, [])
      note = `left out: ${explain(error)}`
    }
    this.session.stale()
    const rest = kept === 0 ? '' : `; the last ${kept === 2 ? 'exchange is' : `${kept / 2} exchanges are`} kept whole`
    yield { is: 'note', line: `${old.length} messages ${note}${rest}; the file has them all` }
  }

  #count(figures: Figures): void {
    this.figures = figures
    this.total.answers++
    this.total.prompt += figures.prompt_tokens ?? 0
    this.total.completion += figures.completion_tokens ?? 0
    this.room.learn(used(figures), this.conversation.messages, this.system)
  }
}
