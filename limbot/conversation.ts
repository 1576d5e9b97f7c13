import { randomBytes } from 'node:crypto'
import { existsSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { MAX_CONVERSATION, type Message, parseHead, parseMessage } from '../api/limbot.js'
import { readBounded } from '../ctl/common/bounded.js'
import { explain, usage } from '../ctl/common/exit.js'
import { dataDir } from '../ctl/common/paths.js'
import { makeDirectory } from '../fs/host-directory.js'
import type { Settings } from './settings.js'

export type { Message }

/** The first line of a conversation's file. */
interface Head {
  readonly limbot: 1
  readonly id: string
  readonly created: string
  readonly title: string
  /** What was chosen for it: settings by their names; null: none. */
  readonly settings?: Readonly<Record<string, unknown>>
}

/** What a list of conversations shows. */
export interface Kept {
  readonly id: string
  readonly title: string
  readonly messages: number
  readonly changed: Date
}

const TITLE = 60

const sessionsDir = (env: NodeJS.ProcessEnv): string => join(dataDir(env), 'sessions')

/** A number that sorts by time: 20261121-161931-4fa2. */
const newId = (): string => {
  const [date, time] = new Date()
    .toISOString()
    .replaceAll(/[-:]|\..*/g, '')
    .split('T')
  return `${date}-${time}-${randomBytes(2).toString('hex')}`
}

/** A conversation, as the person has it: kept in a file of its own, a JSON object a line, whatever becomes of servers. */
export class Conversation {
  id = newId()
  title = ''
  #messages: Message[] = []
  #created = new Date().toISOString()
  /** When we last wrote it, as the file system has it: another limbot may have gone on with it. */
  #written: number | undefined
  #warned = false

  constructor(
    readonly env: NodeJS.ProcessEnv,
    readonly warn: (line: string) => void,
    /** Whether it is kept, and what is chosen for it. */
    readonly settings: Settings,
  ) {}

  /** All there is, what has been summed up as well. */
  get all(): readonly Message[] {
    return this.#messages
  }

  /** What the model is given. */
  get messages(): readonly Message[] {
    return this.#messages.filter(message => !message.past)
  }

  get file(): string {
    return join(sessionsDir(this.env), `${this.id}.jsonl`)
  }

  /** The last message, if it is the user's: it has had no answer. */
  get unanswered(): string | undefined {
    const last = this.#messages.at(-1)
    return last?.role === 'user' ? last.content : undefined
  }

  /** The user's message; one before it that had no answer goes. */
  ask(content: string, typed = content): void {
    if (this.unanswered !== undefined) this.#messages.pop()
    this.call(content)
    this.#messages.push({ role: 'user', content, ...(typed !== content && { typed }) })
    this.save()
  }

  /** What came of it. Nothing at all: the question goes as well. */
  answer(content: string, stopped?: true | string): void {
    if (content === '') this.#messages.pop()
    else this.#messages.push({ role: 'assistant', content, ...(stopped && { stopped }) })
    this.save()
  }

  /** Takes back the last exchanges. @returns the question of the last one taken back */
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

  /** The messages before the last `kept` are past; a summary stands in their place. */
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

  /** Gives it a title, if it has none and there is one. */
  call(text: string): void {
    this.title ||= brief(text, TITLE)
  }

  rename(title: string): void {
    this.title = title
    this.save()
  }

  /** Goes on as another one with the same messages. */
  fork(): void {
    this.id = newId()
    this.#created = new Date().toISOString()
    this.#written = undefined
    this.title = this.title && `${this.title} (fork)`
    this.save()
  }

  /** Begins anew. */
  clear(): void {
    this.id = newId()
    this.#created = new Date().toISOString()
    this.#written = undefined
    this.title = ''
    this.#messages = []
  }

  /** Becomes a conversation that was kept. @returns what was chosen for it @throws Failure naming the file and its line */
  load(file: string): Readonly<Record<string, unknown>> {
    const { head, messages } = read(file)
    this.id = head.id
    this.title = head.title
    this.#created = head.created
    this.#messages = messages
    this.#written = statSync(file).mtimeMs
    return head.settings ?? {}
  }

  /** Writes the whole file, beside and then in its place. A disk that is full costs one warning. */
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
      const beside = `${this.file}.${process.pid}`
      writeFileSync(beside, [head, ...this.#messages].map(line => `${JSON.stringify(line)}\n`).join(''), {
        mode: 0o600,
      })
      renameSync(beside, this.file)
      this.#written = changedAt(this.file)
      if (forked) this.warn(`another limbot has gone on with this conversation; this one is ${this.id} from here`)
    } catch (error) {
      if (!this.#warned) this.warn(`the conversation is not kept: ${explain(error)}`)
      this.#warned = true
    }
  }

  /** As a document. */
  markdown(): string {
    const parts = this.#messages.map(({ role, content, stopped }) => {
      const end = stopped ? `\n\n[stopped${stopped === true ? '' : `: ${stopped}`}]` : ''
      return `## ${role === 'user' ? 'You' : 'Llambo'}\n\n${content}${end}\n`
    })
    return [`# ${this.title}\n`, ...parts].join('\n')
  }
}

const changedAt = (file: string): number | undefined => statSync(file, { throwIfNoEntry: false })?.mtimeMs

/** So many messages, in words. */
export const messages = (count: number): string => `${count} message${count === 1 ? '' : 's'}`

/** The first line of a text, of so many characters. */
export const brief = (text: string, most: number): string => {
  const line = text.trim().split('\n')[0]!.replaceAll(/\s+/g, ' ')
  return line.length > most ? `${line.slice(0, most - 1)}…` : line
}

function read(file: string): { head: Head; messages: Message[] } {
  let text: string
  try {
    text = readBounded(file, MAX_CONVERSATION)
  } catch (error) {
    throw usage(`${file}: ${explain(error)}`)
  }
  const [first = '', ...rest] = text.split('\n').filter(Boolean)
  const { settings = {}, ...head } = parsed(() => parseHead(first), `${file}: not a conversation of limbot`)
  const messages = rest.map((line, i) => parsed(() => parseMessage(line), `${file}:${i + 2}: not a message`))
  return { head: { ...head, settings: settings as Record<string, unknown> }, messages }
}

/** @throws Failure (usage) with the place, and what of it cannot be */
function parsed<T>(parse: () => T, where: string): T {
  try {
    return parse()
  } catch (error) {
    throw usage(`${where} (${(error as Error).message})`)
  }
}

/**
 * The conversations that are kept, the last one first. What cannot be read is left out.
 * @param unread gets each file that cannot be read, and why
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
        unread(`${explain(error)}; it is left out until you mend it or move it away`)
        return []
      }
    })
    .sort((a, b) => b.changed.getTime() - a.changed.getTime())
}

/** The file of a conversation: by its number, the beginning of its number or title, or as a path. @throws Failure */
export function conversationFile(given: string, env: NodeJS.ProcessEnv): string {
  if (given.includes('/') || given.endsWith('.jsonl')) return given
  const own = join(sessionsDir(env), `${given}.jsonl`)
  // also one that cannot be read: who reads it says why
  if (existsSync(own)) return own
  const kept = conversations(env)
  const exact = kept.find(({ id, title }) => id === given || title === given)
  const found =
    exact ?? kept.find(({ id, title }) => id.startsWith(given) || title.toLowerCase().startsWith(given.toLowerCase()))
  if (!found)
    throw usage(`no conversation ${given}: ${kept.length ? 'limbot --list, or /sessions, lists them' : 'none is kept'}`)
  return join(sessionsDir(env), `${found.id}.jsonl`)
}
