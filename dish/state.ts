import { MOUNT } from '../ctl/common/npath.js'
import { clean } from '../fs/namespace.js'
import type { Sequence } from './ast.js'
import type { Jobs } from './jobs.js'
import type { Links } from './link.js'
import type { Sink, Source } from './pipe.js'
import type { Space } from './space.js'

/** Where the shell is, unless it went elsewhere: the server's tree. */
export const HOME = MOUNT

/** What a command is given by who runs it. */
export interface Io {
  readonly stdin: Source
  readonly stdout: Sink
  readonly stderr: Sink
  /** Aborts at Ctrl-C. */
  readonly signal: AbortSignal
  /** A job: the terminal's Ctrl-C is not for it. */
  readonly background?: boolean
}

/** What all parts of one shell share. */
export interface Shared {
  readonly links: Links
  readonly jobs: Jobs
  readonly env: NodeJS.ProcessEnv
  /** The server that is at /n/llambo. */
  readonly server: string
  /** Lines that were typed, the newest last. */
  readonly history: () => readonly string[]
  readonly interactive: boolean
  /** Commands of the host may have the terminal: nobody else reads it. */
  readonly terminal: boolean
  readonly colors: boolean
  /** Lets a command of the host have the terminal while it runs. */
  readonly lend?: <T>(work: () => Promise<T>) => Promise<T>
  /** What a job writes to instead of the terminal that somebody types at. */
  readonly beside?: (io: Io) => Io
}

/** One shell's variables, functions, directory and name space. A part of a pipe, a job, and `` `{…} `` have a copy. */
export class State {
  readonly variables = new Map<string, readonly string[]>()
  readonly functions = new Map<string, Sequence>()
  cwd = HOME
  before = HOME
  /** What the last command said: '' is success. */
  #status = ''
  /** What to exit with for it. */
  code = 0
  /** Calls of functions and files within each other. */
  depth = 0

  constructor(
    readonly shared: Shared,
    public space: Space,
  ) {}

  get status(): string {
    return this.#status
  }

  /** @param code what a shell that ends with it exits with; unless given, the number that the status is, else 1 */
  end(status: string, code?: number): void {
    this.#status = status
    const number = /^\d{1,3}$/.test(status) ? Number(status) % 256 : 1
    this.code = status === '' ? 0 : (code ?? (number || 1))
  }

  get(name: string): readonly string[] {
    if (name === 'status') return [this.status]
    return this.variables.get(name) ?? []
  }

  set(name: string, value: readonly string[]): void {
    if (name === 'status') this.end(value.join(' '))
    else if (value.length === 0) this.variables.delete(name)
    else this.variables.set(name, value)
  }

  /** An absolute path. */
  path(path: string): string {
    return clean(path.startsWith('/') ? path : `${this.cwd}/${path}`)
  }

  /** A copy, whose changes are its own. @param space its name space, the same unless given */
  fork(space = this.space): State {
    const copy = new State(this.shared, space)
    for (const [name, value] of this.variables) copy.variables.set(name, value)
    for (const [name, body] of this.functions) copy.functions.set(name, body)
    copy.cwd = this.cwd
    copy.before = this.before
    copy.depth = this.depth
    copy.end(this.status, this.code)
    return copy
  }
}
