import type { Invocation } from './invocation.js'

/** What commander made of a command's options: by name, camel case. */
export type Options = Readonly<Record<string, any>>

export type Run = (io: Invocation, args: readonly string[], options: Options) => Promise<void>

/** What there is at a server that an argument may stand for: completion asks for it. */
export type Kind = 'worker' | 'class' | 'model' | 'strategy'

/** One command of llamboctl, as the table lists it. Its code is loaded when it runs, so that the others start fast. */
export interface Command {
  readonly name: string
  readonly alias?: string
  /** Positional arguments as commander writes them: `<path...>`. */
  readonly args?: string
  readonly summary: string
  /** Flags as commander writes them, and what they do; the values they take; whether they may be given `many` times, a value each. */
  readonly options?: readonly (readonly [flags: string, help: string, choices?: readonly string[], many?: 'many'])[]
  readonly load?: () => Promise<{ run: Run }>
  readonly commands?: readonly Command[]
  /** What its positional arguments are, one after another; completion offers files unless said. */
  readonly takes?: readonly Kind[]
}
