import { table } from '../ctl/common/output.js'
import { didYouMean } from '../ctl/common/suggest.js'
import { sanitize } from '../ctl/common/terminal/sanitize.js'
import type { Builtin } from './builtin/table.js'
import { codeFor, ShellError, why } from './failure.js'
import type { Sink } from './pipe.js'
import type { Io, State } from './state.js'
import { Styled } from './streams.js'

/** What a command of dish's own is given: its arguments without the options, the options, and the world. */
export class Call {
  readonly args: readonly string[]
  /** By letter or name: true, or the option's value. */
  readonly options: Readonly<Record<string, string | true>>
  readonly signal: AbortSignal
  /** Aborts as well when nobody reads the output any more: for what waits and does nothing else. */
  readonly reading: AbortSignal

  /** @throws ShellError (usage) */
  constructor(
    readonly builtin: Builtin,
    given: readonly string[],
    readonly io: Io,
    readonly state: State,
  ) {
    this.signal = io.signal
    this.reading = io.stdout.gone ? AbortSignal.any([io.signal, io.stdout.gone]) : io.signal
    const { args, options } = parseOptions(builtin, given)
    this.args = args
    this.options = options
    const { least, most } = arity(builtin.args ?? '')
    if (args.length < least) throw this.usage('something is missing')
    if (args.length > most) throw this.usage(`${args[most]}: too many`)
  }

  get name(): string {
    return this.builtin.name
  }

  usage(message: string): ShellError {
    return new ShellError(`${this.name}: ${message}; it is ${usageOf(this.builtin)}`)
  }

  /** An absolute path of the name space. */
  path(path: string): string {
    return this.state.path(path)
  }

  get out(): Sink {
    return this.io.stdout
  }

  /** Whether a person looks at the output. */
  get terminal(): boolean {
    return this.out.columns !== undefined
  }

  /** Bytes as they are; on a terminal they are made harmless. */
  data(data: Uint8Array): Promise<void> {
    return this.out.write(data, this.signal)
  }

  print(text: string): Promise<void> {
    return this.data(Buffer.from(text))
  }

  /** Text with colours of ours in it; what is not ours in it has been sanitized. */
  styled(text: string): Promise<void> {
    const { out } = this
    return out instanceof Styled ? out.styled(text, this.signal) : this.print(text)
  }

  /** Rows under a header on a terminal, else with tabs between. */
  table(header: readonly string[], rows: readonly (readonly string[])[]): Promise<void> {
    return this.print(table(header, rows, this.terminal))
  }

  json(value: unknown): Promise<void> {
    return this.print(`${JSON.stringify(value, null, 2)}\n`)
  }

  /** A line for the person, beside the output. */
  note(line: string): Promise<void> {
    return this.io.stderr.write(Buffer.from(`${line}\n`), this.signal)
  }

  /** A failure of one of several things: said, kept as the status, and the others go on. @throws what is no failure of a file's */
  async failed(error: unknown): Promise<void> {
    if (this.signal.aborted || !(error instanceof ShellError)) throw error
    await this.note(`dish: ${why(error)}`)
    this.state.end(why(error), codeFor(error))
  }

  /** Does something for each argument. */
  async each(args: readonly string[], work: (arg: string) => Promise<void>): Promise<void> {
    for (const arg of args) await work(arg).catch(error => this.failed(error))
  }

  /** An option's whole number. */
  number(option: string, otherwise: number, least = 0): number {
    const value = this.options[option]
    if (value === undefined) return otherwise
    if (typeof value !== 'string' || !/^\d+(\.\d+)?$/.test(value) || Number(value) < least)
      throw this.usage(`-${option} ${value}: a number from ${least}`)
    return Number(value)
  }

  /** Colours where the output has them, and knows them for ours. */
  paint(code: number, text: string): string {
    const clean = sanitize(text)
    return this.terminal && this.out instanceof Styled && this.state.shared.colors
      ? `\x1b[${code}m${clean}\x1b[0m`
      : clean
  }
}

/** How a command is called. */
export function usageOf({ name, args, options = [] }: Builtin): string {
  return [name, ...options.map(([flag]) => `[${flag}]`), ...(args ? [args] : [])].join(' ')
}

/** How many arguments `NAME [NAME…]` stands for. */
function arity(args: string): { least: number; most: number } {
  const all = args.split(' ').filter(Boolean)
  return {
    least: all.filter(arg => !arg.startsWith('[')).length,
    most: args.includes('…') ? Number.POSITIVE_INFINITY : all.length,
  }
}

/** Options stand anywhere, single letters together if one likes, up to `--`; or only in front, of a command that takes others' words. */
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
      const message = `${shown}: no such option${near}`
      throw new ShellError(`${builtin.name}: ${message}; it is ${usageOf(builtin)}`)
    }
    if (known.get(name) === undefined) options[name] = true
    else {
      const value = rest || given[at++]
      if (value === undefined)
        throw new ShellError(`${builtin.name}: ${shown}: its value is missing; it is ${usageOf(builtin)}`)
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
