/** Where an orchestrator keeps what must outlive it: small texts by name. */
export interface Store {
  /** The text of that name; undefined where there is none, or it cannot be read. */
  read(name: string): string | undefined
  /** Replaces it, whole or not at all. */
  write(name: string, text: string): Promise<void>
  remove(name: string): Promise<void>
  list(): string[]
}

/** The end of a name under which a text is kept that could not be restored. */
export const DAMAGED = '.damaged'

/** Keeps a text aside that could not be restored, where no later start looks for it and a person can. */
export async function keepAside(store: Store, name: string): Promise<void> {
  const text = store.read(name)
  // what cannot be read cannot be copied: it stays where it is
  if (text === undefined) return
  await store.write(`${name}${DAMAGED}`, text)
  await store.remove(name)
}

/** Numbers that are reserved at a time: so many writes fewer, and so many numbers lost when we are killed. */
const BLOCK = { task: 1000, session: 100 } as const
type Kind = keyof typeof BLOCK

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
    store: Store | undefined,
    readonly saver: Saver | undefined,
  ) {
    for (const line of store?.read('counters')?.split('\n') ?? []) {
      const [kind, number] = line.split(' ')
      if ((kind === 'task' || kind === 'session') && Number.isSafeInteger(Number(number)))
        this.#last[kind] = this.#reserved[kind] = Number(number)
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

/** Writes texts as they change, one write of each at a time, and only the newest. */
export class Saver {
  readonly #wanted = new Map<string, (() => string) | undefined>()
  readonly #writing = new Map<string, Promise<void>>()
  /** Said once, until a write succeeds again: a full disk is no reason to repeat oneself. */
  #failing = false

  constructor(
    readonly store: Store,
    readonly onError: (error: Error) => void,
  ) {}

  /** @param text asked for when it is written; undefined: it is to go */
  save(name: string, text: (() => string) | undefined): void {
    this.#wanted.set(name, text)
    if (!this.#writing.has(name)) this.#writing.set(name, this.#write(name))
  }

  /** Resolves when all is written. */
  async settled(): Promise<void> {
    while (this.#writing.size > 0) await Promise.all(this.#writing.values())
  }

  async #write(name: string): Promise<void> {
    while (this.#wanted.has(name)) {
      const text = this.#wanted.get(name)
      this.#wanted.delete(name)
      try {
        await (text ? this.store.write(name, text()) : this.store.remove(name))
        this.#failing = false
      } catch (error) {
        if (!this.#failing) this.onError(error as Error)
        this.#failing = true
      }
    }
    this.#writing.delete(name)
  }
}
