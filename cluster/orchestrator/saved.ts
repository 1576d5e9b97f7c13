import { fail } from '../../fs/errors.js'

/** Where an orchestrator keeps what must outlive it: small texts by name. */
export interface Store {
  /** The text of that name; undefined where there is none. @throws why it cannot be read */
  read(name: string): string | undefined
  /** Replaces it, whole or not at all. */
  write(name: string, text: string): Promise<void>
  /** Adds to the end of one that is there. Where that fails, some of it may be there. */
  append(name: string, text: string): Promise<void>
  remove(name: string): Promise<void>
  list(): string[]
  /** Renames a text that cannot be restored to NAME.damaged, at once: a new one of that name may be written right after it. */
  setAside(name: string): void
}

/** The end of a name under which a text is kept that could not be restored. */
export const DAMAGED = '.damaged'

/** What the orchestrator before this one has kept. What is not what it should be is set aside, where a person finds it. */
export class Restored {
  constructor(
    readonly store: Store | undefined,
    /** Gets what could not be restored, and why. */
    readonly onDamaged: (name: string, error: Error) => void,
    /** Gets what could not be set aside either, and why. */
    readonly onError: (name: string, error: Error) => void,
  ) {}

  /** The names of all texts. */
  get names(): string[] {
    return this.store?.list() ?? []
  }

  /**
   * Reads a text. One that is damaged is set aside.
   * @param parse makes a value of it, and throws what is wrong with it
   * @returns undefined where there is no such text, or it is damaged
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

  /** Sets a text aside that has turned out to be damaged. */
  setAside(name: string, why: Error): void {
    this.onDamaged(name, why)
    try {
      this.store?.setAside(name)
    } catch (error) {
      this.onError(name, error as Error)
    }
  }
}

/** Numbers that are reserved at a time: so many writes fewer, and so many numbers lost when we are killed. */
const BLOCK = { task: 1000, session: 100 } as const
type Kind = keyof typeof BLOCK

/** The name under which a session is kept, and the session's number in it. */
export const sessionFile = /^session-(\d{1,15})$/

/**
 * The numbers of tasks and sessions, which are never given twice, also by an orchestrator after this one (namespace.md, generate):
 * they are reserved in blocks, of which the store knows the end.
 */
export class Counters {
  readonly #last: Record<Kind, number> = { task: 0, session: 0 }
  readonly #reserved: Record<Kind, number> = { task: 0, session: 0 }
  /** The last number of a task before we were started. */
  readonly began: number

  constructor(
    restored: Restored,
    readonly saver: Saver | undefined,
  ) {
    restored.read('counters', text => {
      const lines = text.trimEnd().split('\n')
      const found = lines.map(line => /^(task|session) (\d{1,15})$/.exec(line))
      // of a file that is damaged, what is whole still counts
      for (const match of found) if (match) this.#last[match[1] as Kind] = Number(match[2])
      if (found.length !== 2 || found.includes(null)) throw fail('io', "not the numbers of 'task' and 'session'")
    })
    // whatever the file says, a session that is kept is not overwritten by a new one of its number
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
    // ahead of need: what is given out has been written by then
    if (number + BLOCK[kind] / 2 > this.#reserved[kind]) this.#reserve(kind)
    return String(number)
  }

  #reserve(kind: Kind): void {
    this.#reserved[kind] = this.#last[kind] + BLOCK[kind]
    this.#save(this.#reserved)
  }

  /** We end in order: nothing that was reserved is lost. */
  close(): void {
    this.#save(this.#last)
  }

  #save({ task, session }: Record<Kind, number>): void {
    this.saver?.save('counters', () => `task ${task}\nsession ${session}\n`)
  }
}

/** Bytes that wait to be added to a text; beyond it the whole is written, which is made when its turn has come. */
const MAX_WAITING = 1024 * 1024

/** What is to be written of one text: all of it, or what has come since. */
interface Wanted {
  readonly whole: () => string
  /** Absent: the whole. */
  more?: string
}

/** Writes texts as they change, one write of each at a time, and only the newest. */
export class Saver {
  readonly #wanted = new Map<string, Wanted | undefined>()
  readonly #writing = new Map<string, Promise<void>>()
  /** Texts that are on the disk as we have written them. */
  readonly #there = new Set<string>()
  /** Said once, until a write succeeds again: a full disk is no reason to repeat oneself. */
  #failing = false

  constructor(
    readonly store: Store,
    readonly onError: (name: string, error: Error) => void,
  ) {}

  /**
   * @param text asked for when it is written; undefined: it is to go
   * @param more what of it is new, at its end, where nothing else is
   */
  save(name: string, text: (() => string) | undefined, more?: string): void {
    this.#wanted.set(name, text && this.#next(name, text, more))
    if (!this.#writing.has(name)) this.#writing.set(name, this.#write(name))
  }

  #next(name: string, whole: () => string, more: string | undefined): Wanted {
    const before = this.#wanted.get(name)
    // a write of the whole that has not begun will have it
    if (more === undefined || (before && before.more === undefined)) return { whole }
    const all = (before?.more ?? '') + more
    return all.length > MAX_WAITING ? { whole } : { whole, more: all }
  }

  /** Resolves when all is written. */
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
        // of what was added some may be there: the whole puts it right, unless there is something newer by now
        if (adds && !this.#wanted.has(name)) this.#wanted.set(name, { whole: wanted.whole })
        if (!this.#failing) this.onError(name, error as Error)
        this.#failing = true
      }
    }
    this.#writing.delete(name)
  }
}
