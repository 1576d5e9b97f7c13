import type { Invocation } from './invocation.js'

/** What commander made of a command's options: by name, camel case. */
export type Options = Readonly<Record<string, any>>

export type Run = (io: Invocation, args: readonly string[], options: Options) => Promise<void>

/** What there is at a server that an argument may stand for: completion asks for it. */
export type Kind = 'worker' | 'class' | 'model' | 'strategy' | 'shell'

/** One command of llamboctl, as the table lists it. Its code is loaded when it runs, so that the others start fast. */
export interface Command {
  readonly name: string
  /** Other names by which it is called. */
  readonly aliases?: readonly string[]
  /** Under which heading its program's help lists it, and one example of its use, as it is typed. */
  readonly group?: string
  readonly example?: string
  /** Positional arguments as commander writes them: `<path...>`. */
  readonly args?: string
  readonly summary: string
  /** Flags as commander writes them, and what they do; the values they take; whether they may be given `many` times, a value each. */
  readonly options?: readonly (readonly [flags: string, help: string, choices?: readonly string[], many?: 'many'])[]
  readonly load?: () => Promise<{ run: Run }>
  readonly commands?: readonly Command[]
  /** Of a program: what to type instead of words that other programs have for commands. */
  readonly hints?: Readonly<Record<string, string>>
  /** What its positional arguments are, one after another; completion offers files unless said. */
  readonly takes?: readonly Kind[]
}
