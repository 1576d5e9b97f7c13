/** The type of a command, as the tables of the programs list it. */
import type { Invocation } from './invocation.js'

/** The options of a command as commander parsed them, under their names in camel case. */
export type Options = Readonly<Record<string, any>>

/** The code of a command. @throws Failure, whose code becomes the exit code */
export type Run = (io: Invocation, args: readonly string[], options: Options) => Promise<void>

/** The kind of name that an argument takes; completion offers the names of that kind. */
export type Kind = 'worker' | 'class' | 'model' | 'strategy' | 'shell'

/** One command, as a table lists it. Its code is loaded only when it runs, so that other commands start fast. */
export interface Command {
  readonly name: string
  /** Other names by which it is called. */
  readonly aliases?: readonly string[]
  /** The heading under which its program's help lists it. */
  readonly group?: string
  /** One example of its use, as it is typed. */
  readonly example?: string
  /** Positional arguments as commander writes them: `<path...>`. */
  readonly args?: string
  readonly summary: string
  /**
   * Each option: its flags as commander writes them, its help, the values that it allows, and whether it may be given
   * several times.
   */
  readonly options?: readonly (readonly [flags: string, help: string, choices?: readonly string[], many?: 'many'])[]
  readonly load?: () => Promise<{ run: Run }>
  readonly commands?: readonly Command[]
  /** For a program: what to type instead of commands that other programs have. */
  readonly hints?: Readonly<Record<string, string>>
  /** The kinds of its positional arguments, in order. Where they are absent, completion offers files. */
  readonly takes?: readonly Kind[]
}
