/** What an orchestrator persists: reading it at the start, and writing it as it changes. */
import { fail } from '../../api/errors.js'

/** Where an orchestrator keeps what must survive a restart: small texts by name. */
export interface Store {
  /** The text of this name; undefined if there is none. @throws why it cannot be read */
  read(name: string): string | undefined
  /** Replaces a text, whole or not at all. */
  write(name: string, text: string): Promise<void>
  /** Appends to a text that exists. If that fails, a part may have been appended. */
  append(name: string, text: string): Promise<void>
  remove(name: string): Promise<void>
  list(): string[]
  /**
   * Renames a text that cannot be restored to NAME.damaged. Synchronous: a new text of that name may be written right
   * after it.
   */
  setAside(name: string): void
}

/** The texts of an earlier orchestrator. A text that is not valid is set aside, where a person finds it. */
export class Restored {
  constructor(
    readonly store: Store | undefined,
    /** Called with a text that could not be restored, and why. */
    readonly onDamaged: (name: string, error: Error) => void,
    /** Called with a text that could not be set aside either, and why. */
    readonly onError: (name: string, error: Error) => void,
  ) {}

  /** The names of all texts. */
  get names(): string[] {
    return this.store?.list() ?? []
  }

  /**
   * Reads a text. A damaged text is set aside.
   * @param parse makes a value of the text, or throws what is wrong with it
   * @returns undefined if there is no such text, or it is damaged
   */
  read<T>(name: string, parse: (text: string) => T): T | undefined {
    const { store } = this
    if (!store) return undefined
    try {
      const text = store.read(name)
      if (text !== undefined) return parse(text)
    } catch (error) {
      this.setAside(name, error as Error)
    }
    return undefined
  }

  /** Sets aside a text that has turned out to be damaged. */
  setAside(name: string, why: Error): void {
    this.onDamaged(name, why)
    try {
      this.store?.setAside(name)
    } catch (error) {
      this.onError(name, error as Error)
    }
  }
}

/**
 * How many numbers are reserved at a time. This saves as many writes, and loses up to as many numbers when we are
 * killed.
 */
const BLOCK = { task: 1000, session: 100 } as const
type Kind = keyof typeof BLOCK

/** The name of a session's text, with the session's number in it. */
export const sessionFile = /^session-(\d{1,15})$/

/**
 * The numbers of tasks and sessions. No number is given out twice, not even by a later orchestrator (docs/files.md,
 * task/): numbers are reserved in blocks, and the store has the end of the reserved block.
 */
export class Counters {
  readonly #last: Record<Kind, number> = { task: 0, session: 0 }
  readonly #reserved: Record<Kind, number> = { task: 0, session: 0 }
  /** The last number of a task from before this start. */
  readonly began: number

  constructor(
    restored: Restored,
    readonly saver: Saver | undefined,
  ) {
    restored.read('counters', text => {
      const lines = text.trimEnd().split('\n')
      const found = lines.map(line => /^(task|session) (\d{1,15})$/.exec(line))
      // the whole lines of a damaged file still count
      for (const match of found) if (match) this.#last[match[1] as Kind] = Number(match[2])
      if (found.length !== 2 || found.includes(null)) throw fail('io', "expected the numbers of 'task' and 'session'")
    })
    // whatever the file says: a new session must not get the number of a stored one, and overwrite it
    for (const name of restored.names) {
      const [, number] = sessionFile.exec(name) ?? []
      if (number) this.#last.session = Math.max(this.#last.session, Number(number))
    }
    this.began = this.#last.task
    this.#reserve('task')
    this.#reserve('session')
  }

  next(kind: Kind): string {
    const number = ++this.#last[kind]
    // early enough that a number has been written before it is given out
    if (number + BLOCK[kind] / 2 > this.#reserved[kind]) this.#reserve(kind)
    return String(number)
  }

  #reserve(kind: Kind): void {
    this.#reserved[kind] = this.#last[kind] + BLOCK[kind]
    this.#save(this.#reserved)
  }

  /** Ends in order: the reserved numbers that were not given out are not lost. */
  close(): void {
    this.#save(this.#last)
  }

  #save({ task, session }: Record<Kind, number>): void {
    this.saver?.save('counters', () => `task ${task}\nsession ${session}\n`)
  }
}

/**
 * Bytes that may wait to be appended to a text. Beyond that the whole text is written, which is only made when its turn
 * has come.
 */
const MAX_WAITING = 1024 * 1024

/** A write of one text that is due: the whole text, or what was added to it. */
interface Wanted {
  readonly whole: () => string
  /** What was added; absent: the whole must be written. */
  more?: string
}

/** Writes texts as they change: of each text one write at a time, and only the newest version. */
export class Saver {
  readonly #wanted = new Map<string, Wanted | undefined>()
  readonly #writing = new Map<string, Promise<void>>()
  /** Texts that are on the disk just as we last wrote them. */
  readonly #there = new Set<string>()
  /**
   * Whether the last write failed. Of failures in a row only the first is reported: a full disk must not flood the
   * events.
   */
  #failing = false

  constructor(
    readonly store: Store,
    readonly onError: (name: string, error: Error) => void,
  ) {}

  /**
   * Schedules a write.
   * @param text called when the text is written; undefined: the text must be removed
   * @param more what was added at its end, if nothing else has changed
   */
  save(name: string, text: (() => string) | undefined, more?: string): void {
    this.#wanted.set(name, text && this.#next(name, text, more))
    if (!this.#writing.has(name)) this.#writing.set(name, this.#write(name))
  }

  #next(name: string, whole: () => string, more: string | undefined): Wanted {
    const before = this.#wanted.get(name)
    // a pending write of the whole will include it
    if (more === undefined || (before && before.more === undefined)) return { whole }
    const all = (before?.more ?? '') + more
    return all.length > MAX_WAITING ? { whole } : { whole, more: all }
  }

  /** Resolves when everything has been written. */
  async settled(): Promise<void> {
    while (this.#writing.size > 0) await Promise.all(this.#writing.values())
  }

  async #write(name: string): Promise<void> {
    while (this.#wanted.has(name)) {
      const wanted = this.#wanted.get(name)
      this.#wanted.delete(name)
      const there = this.#there.delete(name)
      const adds = there && wanted?.more !== undefined
      try {
        if (!wanted) await this.store.remove(name)
        else if (adds) await this.store.append(name, wanted.more!)
        else await this.store.write(name, wanted.whole())
        if (wanted) this.#there.add(name)
        this.#failing = false
      } catch (error) {
        // a part may have been appended: writing the whole corrects that, unless a newer write is pending by now
        if (adds && !this.#wanted.has(name)) this.#wanted.set(name, { whole: wanted.whole })
        if (!this.#failing) this.onError(name, error as Error)
        this.#failing = true
      }
    }
    this.#writing.delete(name)
  }
}
