import { join } from 'node:path'
import { usage } from './exit.js'
import { configDir } from './paths.js'
import { didYouMean } from './suggest.js'

/** What a setting is as text, and what of that it takes. Gives the value, or throws an Error that says what it would take. */
type Kind<T> = (text: string) => T

const text: Kind<string> = value => value
const name: Kind<string> = value => {
  if (!/^[\p{L}\p{N}][\p{L}\p{N}._:/@-]{0,255}$/u.test(value)) throw new Error('a name')
  return value
}
const toggle: Kind<boolean> = value => {
  if (/^(on|true|yes)$/.test(value)) return true
  if (/^(off|false|no)$/.test(value)) return false
  throw new Error('on or off')
}
const number =
  (low: number, high: number, whole = false): Kind<number> =>
  value => {
    const n = value.trim() === '' ? Number.NaN : Number(value)
    if (!(n >= low && n <= high) || (whole && !Number.isInteger(n)))
      throw new Error(`a ${whole ? 'whole ' : ''}number from ${low} to ${high}`)
    return n
  }

interface Setting<T> {
  readonly kind: Kind<T>
  readonly initial?: T
  readonly help: string
  /** How the command line shows the value. */
  readonly value: string
  readonly short?: string
  /** A word of a session's ctl, which the server knows by the same name. */
  readonly sampling?: true
}

const setting = <T>(row: Setting<T>): Setting<T> => row

/**
 * Every setting of limbot, once: the same name in limbot.conf, in `/set`, with `LLAMBO_LIMBOT_` before it in the environment, and
 * with `--` on the command line. docs/limbot.md lists them.
 */
export const settings = {
  model: setting({
    kind: name,
    value: 'name',
    short: 'm',
    help: 'the model to talk to; the one that is loaded unless set',
  }),
  role: setting({
    kind: name,
    value: 'name',
    short: 'r',
    help: 'a role: roles/NAME.md in the configuration directory',
  }),
  system: setting({ kind: text, value: 'text', short: 's', help: 'the system prompt; goes before the role’s' }),
  stats: setting({ kind: toggle, value: 'on|off', initial: true, help: 'a line of figures behind each answer' }),
  markdown: setting({
    kind: toggle,
    value: 'on|off',
    initial: true,
    help: 'show Markdown set, on a terminal with colours',
  }),
  save: setting({ kind: toggle, value: 'on|off', initial: true, help: 'keep conversations' }),
  history: setting({ kind: toggle, value: 'on|off', initial: true, help: 'keep what is typed, for the arrow keys' }),
  compact: setting({
    kind: toggle,
    value: 'on|off',
    initial: true,
    help: 'sum up the older messages before the context overflows',
  }),
  editor: setting({ kind: text, value: 'command', help: 'what Ctrl-G opens; $VISUAL or $EDITOR unless set' }),
  temperature: setting({ kind: number(0, 5), value: 'n', sampling: true, help: '0 (always the likeliest word) to 5' }),
  top_p: setting({ kind: number(0, 1), value: 'n', sampling: true, help: '0 to 1' }),
  top_k: setting({ kind: number(0, 100_000, true), value: 'n', sampling: true, help: '0 (all) to 100000' }),
  min_p: setting({ kind: number(0, 1), value: 'n', sampling: true, help: '0 to 1' }),
  seed: setting({
    kind: number(0, 0xffffffff, true),
    value: 'n',
    sampling: true,
    help: 'the same seed gives the same text',
  }),
  max_tokens: setting({ kind: number(1, 1_048_576, true), value: 'n', sampling: true, help: 'of an answer' }),
  stop: setting({ kind: text, value: 'text', sampling: true, help: 'where an answer ends' }),
}

export type Key = keyof typeof settings
export const keys = Object.keys(settings) as Key[]
/** Those that are a conversation's, not a person's: who answers, as whom, and how. */
export const conversationKeys: readonly Key[] = keys.filter(
  key => /^(model|role|system)$/.test(key) || 'sampling' in settings[key],
)
type Value<K extends Key> = (typeof settings)[K] extends Setting<infer T> ? T : never
export type Values = { readonly [K in Key]: Value<K> | undefined }

/** A setting's name on the command line: `max-tokens`. */
export const flagOf = (key: Key): string => key.replaceAll('_', '-')
export const variableOf = (key: Key): string => `LLAMBO_LIMBOT_${key.toUpperCase()}`
export const confFile = (env: NodeJS.ProcessEnv): string => join(configDir(env), 'limbot.conf')

/** The setting of that name, written with `_` or `-`. @throws Failure (usage) with those there are */
export function keyOf(given: string, origin = ''): Key {
  const key = given.replaceAll('-', '_')
  if (Object.hasOwn(settings, key)) return key as Key
  throw usage(
    `${origin && `${origin}: `}${given}: unknown setting${didYouMean(key, keys) || `; known are ${keys.join(', ')}`}`,
  )
}

/** Reads one value. @throws Failure (usage) that names the setting, what it takes and what was given */
export function parseSetting(given: string, value: string, origin = ''): { key: Key; value: unknown } {
  const key = keyOf(given, origin)
  try {
    return { key, value: settings[key].kind(value) }
  } catch (error) {
    throw usage(`${origin && `${origin}: `}${key}: expected ${(error as Error).message}, not ${JSON.stringify(value)}`)
  }
}

/** What a configuration says. */
export interface Conf {
  readonly values: Map<Key, unknown>
  /** A line for each thing in it that cannot be meant, naming file, line and key. */
  readonly wrong: string[]
  /** All that is wrong is that it ends too early: what is written behind it may complete it. */
  readonly unfinished: boolean
}

/** Reads limbot.conf: YAML, a setting a line. */
export async function readConf(content: string, file: string): Promise<Conf> {
  const { isMap, isScalar, LineCounter, parseDocument } = await import('yaml')
  const values = new Map<Key, unknown>()
  const wrong: string[] = []
  const lines = new LineCounter()
  // values are read as they are written: `off` is a word of ours, not YAML's
  const doc = parseDocument(content, { lineCounter: lines, prettyErrors: false, schema: 'failsafe' })
  const at = (offset = 0) => `${file}:${lines.linePos(offset).line}`
  for (const { pos, message } of doc.errors) wrong.push(`${at(pos[0])}: ${message}`)
  const unfinished = doc.errors.length > 0 && doc.errors.every(({ pos }) => pos[0] >= content.length)
  if (doc.contents === null) return { values, wrong, unfinished }
  if (!isMap(doc.contents)) {
    wrong.push(`${at(doc.contents.range?.[0])}: the file must hold settings with values, such as "stats: off"`)
    return { values, wrong, unfinished }
  }
  for (const { key: node, value } of doc.contents.items) {
    const where = isScalar(node) ? at(node.range?.[0]) : file
    const word = String(isScalar(node) ? node.value : node)
    try {
      if (!isScalar(value)) throw usage(`${where}: ${word}: expected one value`)
      const { key, value: meant } = parseSetting(word, String(value.value), where)
      values.set(key, meant)
    } catch (error) {
      wrong.push((error as Error).message)
    }
  }
  return { values, wrong, unfinished }
}
