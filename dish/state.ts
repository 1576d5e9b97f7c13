/** The state of a shell: variables, functions, directory, status. */

import { MOUNT } from '../cli/ns-path.js'
import { clean } from '../fs/base/path.js'
import type { Sequence } from './ast.js'
import type { Jobs } from './jobs.js'
import type { Links } from './link.js'
import type { Sink, Source } from './pipe.js'
import type { Space } from './space.js'

/** Where the shell begins: the server's tree. */
export const HOME = MOUNT

/** The streams of a command, and its signal. */
export interface Io {
  readonly stdin: Source
  readonly stdout: Sink
  readonly stderr: Sink
  /** Aborts at Ctrl-C. */
  readonly signal: AbortSignal
  /** Whether this is a job: the terminal's Ctrl-C is not for it. */
  readonly background?: boolean
}

/** What all copies of one shell's state share. */
export interface Shared {
  readonly links: Links
  readonly jobs: Jobs
  readonly env: NodeJS.ProcessEnv
  /** The address of the server at /n/llambo. */
  readonly server: string
  /** Lines that were typed, the newest last. */
  readonly history: () => readonly string[]
  readonly interactive: boolean
  /** Whether host commands may have the terminal: nothing else reads it. */
  readonly terminal: boolean
  readonly colors: boolean
  /** Gives the terminal to a host command while that runs. */
  readonly withTerminal?: <T>(work: () => Promise<T>) => Promise<T>
  /** The streams of a job, which keep its output off the line that somebody is typing. */
  readonly background?: (io: Io) => Io
}

/**
 * One shell's variables, functions, directory and name space. Each part of a pipe, each job, and `` `{…} `` has a copy.
 */
export class State {
  readonly variables = new Map<string, readonly string[]>()
  readonly functions = new Map<string, Sequence>()
  cwd = HOME
  before = HOME
  /** The status of the last command: '' is success. */
  #status = ''
  /** The exit code for that status. */
  code = 0
  /** How deep functions and sourced files are nested in each other. */
  depth = 0

  constructor(
    readonly shared: Shared,
    public space: Space,
  ) {}

  get status(): string {
    return this.#status
  }

  /**
   * Sets the status. @param code the exit code of a shell that ends with it; by default the status if it is a number,
   * else 1
   */
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

  /** A path as an absolute path, starting from the current directory. */
  path(path: string): string {
    return clean(path.startsWith('/') ? path : `${this.cwd}/${path}`)
  }

  /** A copy, whose changes are its own. @param space the copy's name space, by default the same one */
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
