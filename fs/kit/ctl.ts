/** Control files: commands in lines of text, each checked before any takes effect. */
import { type FsError, fail } from '../base/errors.js'
import { andThen, type MaybePromise } from '../base/maybe-promise.js'
import { words } from '../base/quote.js'
import { type Context, type File, newQid, type Opened, type Owner } from '../file.js'
import { Made, now } from './content.js'

/** Carries out a checked command, once all other lines of its write have been checked, too. */
export type Effect = () => MaybePromise<void>

/**
 * One command: its arguments as shown in messages and manuals, and the check that returns its effect or throws `bad
 * argument`.
 */
export interface Verb {
  readonly usage: string
  check(args: readonly string[], ctx: Context): Effect
}

/** The options of `ctl`. */
export interface CtlOptions {
  owner: Owner
  /** Permission bits; by default 0660: the owner and the admins. */
  mode?: number
  verbs: Readonly<Record<string, Verb>>
  /** The current settings, as the commands that would set them. */
  read(ctx: Context): MaybePromise<string>
  /** Called after each command has taken effect. */
  changed?: () => void
  /** Called at each open; the function that it returns is called at the close. */
  onOpen?: () => () => void
}

/**
 * Shells write the output of echo in pieces of this many bytes, or of a multiple (4096 in dash and coreutils). A piece
 * of exactly that length without a newline at its end is the beginning of a command; running it would do something
 * other than what was asked for.
 */
const PIECE = 4096
const NEWLINE = 10
/** How many characters of an unknown command its error repeats. */
const SHOWN = 64

/**
 * A control file: one command per line, its words quoted as rc(1) does. All lines of a write are checked before the
 * first takes effect; an unknown command fails the write with a list of those accepted.
 */
export function ctl(options: CtlOptions): File {
  const qid = newQid()
  const { owner, mode = 0o660 } = options
  const encoder = new TextEncoder()
  const made = new Made(ctx => andThen(options.read(ctx), s => encoder.encode(s)))
  return {
    qid,
    attributes: () => ({ mode, owner, length: 0, mtime: now(), atime: now() }),
    extent: ctx => made.extent(ctx),
    open(how): Opened {
      const close = options.onOpen?.()
      /** Whether the last write was the beginning of a command whose end is still to come. */
      let cut = false
      return {
        ...made.open(how),
        write(_offset, data, ctx) {
          const end = data.lastIndexOf(NEWLINE)
          const before = cut
          // a piece without a newline is followed by more of its line
          if (end < 0 && data.length > 0 && data.length % PIECE === 0) cut = true
          else if (end >= 0) cut = false
          if (before || cut)
            throw fail(
              'badArgument',
              `a command over ${PIECE - 1} bytes, or without a newline at its end, cannot be written in pieces, as a shell's echo writes it; use cat or llamboctl`,
            )
          return andThen(run(options, decode(data), ctx), () => data.length)
        },
        ...(close && { close }),
      }
    },
  }
}

function decode(data: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(data)
  } catch {
    throw fail('badArgument', 'the command is not UTF-8')
  }
}

const short = (word: string) => (word.length > SHOWN ? `${word.slice(0, SHOWN)}…` : word)

/** Checks all commands of a text, then carries them out. @throws FsError as the file's write does */
export function run(
  { verbs, changed }: Pick<CtlOptions, 'verbs' | 'changed'>,
  text: string,
  ctx: Context,
): MaybePromise<void> {
  let lines: string[][]
  try {
    lines = words(text)
  } catch (error) {
    throw fail('badArgument', (error as SyntaxError).message)
  }
  const effects = lines.map(([name = '', ...args]) => {
    const verb = Object.hasOwn(verbs, name) ? verbs[name] : undefined
    if (!verb) throw fail('unknownCommand', `${short(name)}; commands: ${Object.keys(verbs).join(' ')}`)
    return verb.check(args, ctx)
  })
  const next = (i: number): MaybePromise<void> => {
    for (; i < effects.length; i++) {
      const done = effects[i]!()
      if (done instanceof Promise)
        return done.then(() => {
          changed?.()
          return next(i + 1)
        })
      changed?.()
    }
  }
  return next(0)
}

/**
 * The error for a wrong number of arguments.
 * @param expected how many and which: `one argument (MODEL)`
 */
export const miscounted = (expected: string, got: number): FsError =>
  fail('badArgument', `expected ${expected}, got ${got}${got > 1 ? '; quote values with spaces' : ''}`)

/** A verb without arguments. */
export function word(effect: (ctx: Context) => MaybePromise<void>): Verb {
  return {
    usage: '',
    check(args, ctx) {
      if (args.length) throw fail('badArgument', `unexpected argument ${JSON.stringify(short(args[0]!))}`)
      return () => effect(ctx)
    },
  }
}

/** A verb with one argument, which `check` converts to its value, or throws. */
export function word1<T>(
  usage: string,
  check: (arg: string) => T,
  effect: (value: T, ctx: Context) => MaybePromise<void>,
): Verb {
  return {
    usage,
    check(args, ctx) {
      if (args.length !== 1) throw miscounted(`one argument (${usage})`, args.length)
      const value = check(args[0]!)
      return () => effect(value, ctx)
    },
  }
}
