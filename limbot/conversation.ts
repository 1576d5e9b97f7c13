/** Conversations as limbot keeps them: each a file of its own in the user's data directory. */
import { randomBytes } from 'node:crypto'
import { existsSync, readdirSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { MAX_CONVERSATION, type Message, parseHead, parseMessage } from '../api/limbot.js'
import { readBounded } from '../cli/bounded.js'
import { explain, usage } from '../cli/exit.js'
import { dataDir } from '../cli/paths.js'
import { replacePrivate } from '../cli/private-file.js'
import { makeDirectory } from '../fs/host-directory.js'
import type { Settings } from './settings.js'
import { brief } from './text.js'

export type { Message }

/** The first line of a conversation's file. */
interface Head {
  readonly limbot: 1
  readonly id: string
  readonly created: string
  readonly title: string
  /** The settings chosen for it, by name; null means that the setting was chosen to be unset. */
  readonly settings?: Readonly<Record<string, unknown>>
}

/** A saved conversation in a list. */
export interface Kept {
  readonly id: string
  readonly title: string
  readonly messages: number
  readonly changed: Date
}

/** Characters of a title that is made from a message. */
const TITLE = 60

const sessionsDir = (env: NodeJS.ProcessEnv): string => join(dataDir(env), 'sessions')

/** A new id, which sorts by time: 20261121-161931-4fa2. */
const newId = (): string => {
  const [date, time] = new Date()
    .toISOString()
    .replaceAll(/[-:]|\..*/g, '')
    .split('T')
  return `${date}-${time}-${randomBytes(2).toString('hex')}`
}

/** A conversation on the user's side: saved in a file of its own, one JSON object a line, independent of any server. */
export class Conversation {
  id = newId()
  title = ''
  #messages: Message[] = []
  #created = new Date().toISOString()
  /**
   * The file's mtime in ms when this process last wrote it: if it differs, another limbot has continued the
   * conversation.
   */
  #written: number | undefined
  #warned = false

  constructor(
    readonly env: NodeJS.ProcessEnv,
    readonly warn: (line: string) => void,
    /** Says whether it is saved, and which settings are chosen for it. */
    readonly settings: Settings,
  ) {}

  /** All messages, including those that were summarised. */
  get all(): readonly Message[] {
    return this.#messages
  }

  /** The messages that the model gets. */
  get messages(): readonly Message[] {
    return this.#messages.filter(message => !message.past)
  }

  get file(): string {
    return join(sessionsDir(this.env), `${this.id}.jsonl`)
  }

  /** The last message if it is the user's, that is, if it has no answer. */
  get unanswered(): string | undefined {
    const last = this.#messages.at(-1)
    return last?.role === 'user' ? last.content : undefined
  }

  /** Adds the user's message. An earlier message without an answer is removed. */
  ask(content: string, typed = content): void {
    if (this.unanswered !== undefined) this.#messages.pop()
    this.call(content)
    this.#messages.push({ role: 'user', content, ...(typed !== content && { typed }) })
    this.save()
  }

  /**
   * Adds the answer. If it is empty, the question is removed instead.
   * @param stopped set if the answer was cut short: true if the user stopped it, else the reason
   */
  answer(content: string, stopped?: true | string): void {
    if (content === '') this.#messages.pop()
    else this.#messages.push({ role: 'assistant', content, ...(stopped && { stopped }) })
    this.save()
  }

  /** Takes back the last `count` exchanges. @returns the question of the earliest one taken back */
  undo(count: number): Message | undefined {
    let question: Message | undefined
    for (let n = 0; n < count; n++) {
      if (this.#messages.at(-1)?.past) break
      if (this.#messages.at(-1)?.role === 'assistant') this.#messages.pop()
      if (this.#messages.at(-1)?.role !== 'user') break
      question = this.#messages.pop()!
    }
    this.save()
    return question
  }

  /** Marks all but the last `kept` messages as past and puts a summary in their place. */
  compact(kept: number, summary: readonly Message[]): void {
    const past = this.#messages.filter(message => message.past)
    const now = this.messages
    const cut = now.length - kept
    this.#messages = [
      ...past,
      ...now.slice(0, cut).map(message => ({ ...message, past: true as const })),
      ...summary,
      ...now.slice(cut),
    ]
    this.save()
  }

  /** Makes a title of a text, unless the conversation has one or the text is empty. */
  call(text: string): void {
    this.title ||= brief(text, TITLE)
  }

  rename(title: string): void {
    this.title = title
    this.save()
  }

  /** Becomes a new conversation with the same messages. */
  fork(): void {
    this.id = newId()
    this.#created = new Date().toISOString()
    this.#written = undefined
    this.title = this.title && `${this.title} (fork)`
    this.save()
  }

  /** Becomes a new, empty conversation. */
  clear(): void {
    this.id = newId()
    this.#created = new Date().toISOString()
    this.#written = undefined
    this.title = ''
    this.#messages = []
  }

  /**
   * Becomes a saved conversation.
   * @returns the settings that were chosen for it
   * @throws Failure (usage) that names the file and the line
   */
  load(file: string): Readonly<Record<string, unknown>> {
    const { head, messages } = read(file)
    this.id = head.id
    this.title = head.title
    this.#created = head.created
    this.#messages = messages
    this.#written = statSync(file).mtimeMs
    return head.settings ?? {}
  }

  /**
   * Writes the whole conversation to a temporary file, which then replaces the saved one. If another limbot has written
   * the file meanwhile, this conversation continues under a new id. A failure, such as a full disk, is warned about
   * once.
   */
  save(): void {
    if (!this.settings.get('save') || (this.#messages.length === 0 && this.#written === undefined)) return
    let forked = false
    try {
      makeDirectory(sessionsDir(this.env), 0o700)
      if (this.#written !== undefined && changedAt(this.file) !== this.#written) {
        this.id = newId()
        forked = true
      }
      if (this.#messages.length === 0) {
        rmSync(this.file, { force: true })
        this.#written = undefined
        return
      }
      const { chosen } = this.settings
      const settings = Object.keys(chosen).length > 0 && { settings: chosen }
      const head: Head = { limbot: 1, id: this.id, created: this.#created, title: this.title, ...settings }
      replacePrivate(this.file, [head, ...this.#messages].map(line => `${JSON.stringify(line)}\n`).join(''))
      this.#written = changedAt(this.file)
      if (forked) this.warn(`another limbot has continued this conversation; yours is now ${this.id}`)
    } catch (error) {
      if (!this.#warned) this.warn(`the conversation is not saved: ${explain(error)}`)
      this.#warned = true
    }
  }

  /** The conversation as a Markdown document. */
  markdown(): string {
    const parts = this.#messages.map(({ role, content, stopped }) => {
      const end = stopped ? `\n\n[stopped${stopped === true ? '' : `: ${stopped}`}]` : ''
      return `## ${role === 'user' ? 'You' : 'Llambo'}\n\n${content}${end}\n`
    })
    return [`# ${this.title}\n`, ...parts].join('\n')
  }
}

const changedAt = (file: string): number | undefined => statSync(file, { throwIfNoEntry: false })?.mtimeMs

function read(file: string): { head: Head; messages: Message[] } {
  let text: string
  try {
    text = readBounded(file, MAX_CONVERSATION)
  } catch (error) {
    throw usage(`${file}: ${explain(error)}`)
  }
  const [first = '', ...rest] = text.split('\n').filter(Boolean)
  const { settings = {}, ...head } = parsed(() => parseHead(first), `${file}: not a limbot conversation`)
  const messages = rest.map((line, i) => parsed(() => parseMessage(line), `${file}:${i + 2}: not a message`))
  return { head: { ...head, settings: settings as Record<string, unknown> }, messages }
}

/** Runs a parser. @throws Failure (usage) with the place and what is wrong there */
function parsed<T>(parse: () => T, where: string): T {
  try {
    return parse()
  } catch (error) {
    throw usage(`${where} (${(error as Error).message})`)
  }
}

/**
 * The saved conversations, the most recently changed first. Files that cannot be read are left out.
 * @param unread called for each file that cannot be read, with the reason
 */
export function conversations(env: NodeJS.ProcessEnv, unread: (why: string) => void = () => undefined): Kept[] {
  const dir = sessionsDir(env)
  let names: string[]
  try {
    names = readdirSync(dir)
  } catch {
    return []
  }
  return names
    .filter(name => name.endsWith('.jsonl'))
    .flatMap(name => {
      try {
        const file = join(dir, name)
        const { head, messages } = read(file)
        return [{ id: head.id, title: head.title, messages: messages.length, changed: statSync(file).mtime }]
      } catch (error) {
        unread(`${explain(error)}; skipped until you repair or remove the file`)
        return []
      }
    })
    .sort((a, b) => b.changed.getTime() - a.changed.getTime())
}

/**
 * Finds the file of a conversation.
 * @param given its id, the beginning of its id or title, or a path
 * @throws Failure (usage) if there is no such conversation
 */
export function conversationFile(given: string, env: NodeJS.ProcessEnv): string {
  if (given.includes('/') || given.endsWith('.jsonl')) return given
  const own = join(sessionsDir(env), `${given}.jsonl`)
  // even if it cannot be read: the caller that reads it reports why
  if (existsSync(own)) return own
  const kept = conversations(env)
  const exact = kept.find(({ id, title }) => id === given || title === given)
  const found =
    exact ?? kept.find(({ id, title }) => id.startsWith(given) || title.toLowerCase().startsWith(given.toLowerCase()))
  if (!found)
    throw usage(
      `no conversation "${given}"; ${kept.length ? 'limbot --list (or /sessions) lists them' : 'none is saved'}`,
    )
  return join(sessionsDir(env), `${found.id}.jsonl`)
}
