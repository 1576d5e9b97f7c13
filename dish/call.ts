/** What a builtin is, and its invocation: parsed arguments and options, streams, and ways to print. */

import { table } from '../cli/output.js'
import { didYouMean } from '../cli/suggest.js'
import { sanitize } from '../cli/terminal/sanitize.js'
import { codeFor, ShellError, why } from './failure.js'
import type { Sink } from './pipe.js'
import type { Io, State } from './state.js'
import { Styled } from './streams.js'

/** The kind of an argument, for completion. */
export type Kind = 'path' | 'directory' | 'worker' | 'task' | 'command' | 'job' | 'builtin' | 'text'

/** A builtin, as `help` and completion show it. Its code is loaded when it runs. */
export interface Builtin {
  readonly name: string
  /** Arguments: `PATH`, `[PATH]`, `PATH…`, `[PATH…]`. They also say how many the command takes. */
  readonly args?: string
  readonly summary: string
  readonly options?: readonly (readonly [flag: string, help: string])[]
  /** The kind of each argument. The last kind also holds for the arguments after it. */
  readonly completes?: readonly Kind[]
  /**
   * Whether options end at the first argument, because the words after it belong to another command. If the builtin has
   * no options, every word is an argument.
   */
  readonly raw?: boolean
  readonly load: () => Promise<{ run: (call: Call) => Promise<void> }>
}

/** What a builtin may use of the shell that runs it. */
export interface Evaluator {
  /** All builtins, in the order in which help shows them. */
  readonly builtins: readonly Builtin[]
  /** Runs a command by its name: a function, a block or a builtin. */
  invoke(name: string, args: readonly string[], io: Io, state: State): Promise<void>
  /** Runs `work` with its own `$0` and `$*`. */
  called(state: State, words: readonly string[], work: () => Promise<void>): Promise<void>
  /** Parses and runs a text. A syntax error becomes a status. */
  runText(text: string, io: Io, state: State): Promise<void>
}

/** The invocation of a builtin: its arguments, parsed options, and shell state. */
export class Call {
  readonly args: readonly string[]
  /** Options by letter or long name: `true`, or the option's value. */
  readonly options: Readonly<Record<string, string | true>>
  readonly signal: AbortSignal
  /** Aborts also when nobody reads the output any more: for a builtin that only waits. */
  readonly reading: AbortSignal

  /** @throws ShellError with the usage, if an option is unknown or the number of arguments is wrong */
  constructor(
    readonly builtin: Builtin,
    given: readonly string[],
    readonly io: Io,
    readonly state: State,
    readonly evaluator: Evaluator,
  ) {
    this.signal = io.signal
    this.reading = io.stdout.gone ? AbortSignal.any([io.signal, io.stdout.gone]) : io.signal
    const { args, options } = parseOptions(builtin, given)
    this.args = args
    this.options = options
    const { least, most } = arity(builtin.args ?? '')
    if (args.length < least) throw this.usage('missing argument')
    if (args.length > most) throw this.usage(`unexpected argument "${args[most]}"`)
  }

  get name(): string {
    return this.builtin.name
  }

  usage(message: string): ShellError {
    return misuse(this.builtin, message)
  }

  /** The error of an argument, or of a value of `option`, that is not what the builtin takes. */
  unfit(what: string, given: string | true | undefined, option?: string): ShellError {
    const flag = option === undefined ? '' : `${dashed(option)}: `
    return this.usage(`${flag}expected ${what}, not "${given}"`)
  }

  /** A path as an absolute path of the name space. */
  path(path: string): string {
    return this.state.path(path)
  }

  get out(): Sink {
    return this.io.stdout
  }

  /** Whether the output is a terminal, where a person reads it. */
  get terminal(): boolean {
    return this.out.columns !== undefined
  }

  /** Writes bytes. A terminal gets them sanitized. */
  data(data: Uint8Array): Promise<void> {
    return this.out.write(data, this.signal)
  }

  print(text: string): Promise<void> {
    return this.data(Buffer.from(text))
  }

  /** Prints text that contains our own escape sequences. Everything else in it must be sanitized already. */
  styled(text: string): Promise<void> {
    const { out } = this
    return out instanceof Styled ? out.styled(text, this.signal) : this.print(text)
  }

  /** Prints rows: with a header on a terminal, otherwise separated by tabs. */
  table(header: readonly string[], rows: readonly (readonly string[])[]): Promise<void> {
    return this.print(table(header, rows, this.terminal))
  }

  json(value: unknown): Promise<void> {
    return this.print(`${JSON.stringify(value, null, 2)}\n`)
  }

  /** Prints a line for the user on standard error. */
  note(line: string): Promise<void> {
    return this.io.stderr.write(Buffer.from(`${line}\n`), this.signal)
  }

  /**
   * Reports the failure of one of several things and keeps it as the status, so that the others go on. @throws `error`
   * if it is not a ShellError, or if the command was aborted
   */
  async failed(error: unknown): Promise<void> {
    if (this.signal.aborted || !(error instanceof ShellError)) throw error
    await this.note(`dish: ${why(error)}`)
    this.state.end(why(error), codeFor(error))
  }

  /** Runs `work` for each argument. A failure is reported, and the next argument follows. */
  async each(args: readonly string[], work: (arg: string) => Promise<void>): Promise<void> {
    for (const arg of args) await work(arg).catch(error => this.failed(error))
  }

  /**
   * The whole number given for an option, or `otherwise`.
   * @throws ShellError if it is not a whole number or is less than `least`
   */
  count(option: string, otherwise: number, least = 0): number {
    return this.#number(option, otherwise, least, /^\d+$/, 'a whole number')
  }

  /**
   * The seconds given for an option, or `otherwise`; they may have decimals.
   * @throws ShellError if it is not a number or is less than `least`
   */
  seconds(option: string, otherwise: number, least = 0): number {
    return this.#number(option, otherwise, least, /^\d+(\.\d+)?$/, 'seconds')
  }

  #number(option: string, otherwise: number, least: number, form: RegExp, what: string): number {
    const value = this.options[option]
    if (value === undefined) return otherwise
    if (typeof value !== 'string' || !form.test(value) || Number(value) < least)
      throw this.unfit(`${what} from ${least}`, value, option)
    return Number(value)
  }

  /**
   * Colours a text if the output is a terminal that lets our escape sequences through. The text itself is sanitized.
   */
  paint(code: number, text: string): string {
    const clean = sanitize(text)
    return this.terminal && this.out instanceof Styled && this.state.shared.colors
      ? `\x1b[${code}m${clean}\x1b[0m`
      : clean
  }
}

/** The error of a builtin that is called wrongly: what is wrong, and its usage. */
const misuse = (builtin: Builtin, message: string): ShellError =>
  new ShellError(`${builtin.name}: ${message}; usage: ${usageOf(builtin)}`)

/** An option as it is typed: `-n`, `--depth`. */
const dashed = (name: string): string => (name.length > 1 ? `--${name}` : `-${name}`)

/** The usage line of a builtin. */
export function usageOf({ name, args, options = [] }: Builtin): string {
  return [name, ...options.map(([flag]) => `[${flag}]`), ...(args ? [args] : [])].join(' ')
}

/** How many arguments a usage such as `NAME [NAME…]` allows. */
function arity(args: string): { least: number; most: number } {
  const all = args.split(' ').filter(Boolean)
  return {
    least: all.filter(arg => !arg.startsWith('[')).length,
    most: args.includes('…') ? Number.POSITIVE_INFINITY : all.length,
  }
}

/**
 * Options may stand anywhere up to `--`, and single letters may be combined. A builtin that takes another command's
 * words (`raw`) has its options in front only.
 */
function parseOptions(builtin: Builtin, given: readonly string[]) {
  const known = new Map<string, string | undefined>()
  for (const [flag] of builtin.options ?? []) {
    const [name = '', value] = flag.split(' ')
    known.set(name.replace(/^--?/, ''), value)
  }
  const options: Record<string, string | true> = {}
  const args: string[] = []
  let at = 0
  const set = (name: string, shown: string, rest?: string): void => {
    if (!known.has(name)) {
      const near = name.length > 1 ? didYouMean(name, [...known.keys()]) : ''
      throw misuse(builtin, `unknown option ${shown}${near}`)
    }
    if (known.get(name) === undefined) options[name] = true
    else {
      const value = rest || given[at++]
      if (value === undefined) throw misuse(builtin, `missing value for ${shown}`)
      options[name] = value
    }
  }
  while (at < given.length) {
    const arg = given[at]!
    if (builtin.raw && (!/^-./.test(arg) || known.size === 0)) break
    at++
    if (arg === '--') break
    if (!/^-./.test(arg)) {
      args.push(arg)
      continue
    }
    if (arg.startsWith('--')) set(arg.slice(2).split('=')[0]!, arg, /=(.*)$/s.exec(arg)?.[1])
    else if (/^-\d+$/.test(arg) && known.has('n')) options.n = arg.slice(1)
    else
      for (let i = 1; i < arg.length; i++) {
        const takes = known.get(arg[i]!) !== undefined
        set(arg[i]!, `-${arg[i]}`, takes ? arg.slice(i + 1) : undefined)
        if (takes) break
      }
  }
  return { args: [...args, ...given.slice(at)], options }
}
