/** The settings of limbot, and the reading of `limbot.conf`. */

import { join } from 'node:path'
import type { Node } from 'yaml'
import { ranges } from '../api/sampling.js'
import { usage } from './exit.js'
import { decimal, type Kind, name, prose, toggle, whole } from './kinds.js'
import { configDir } from './paths.js'
import { didYouMean } from './suggest.js'

interface Setting<T> {
  readonly kind: Kind<T>
  readonly initial?: T
  readonly help: string
  /** How the help of the command line writes the value. */
  readonly value: string
  readonly short?: string
  /** Whether it is also a setting of a session's `ctl`, under the same name. */
  readonly sampling?: true
}

const setting = <T>(row: Setting<T>): Setting<T> => row

/** The range of a setting in words. @param lowest what its lowest value means */
const span = (name: keyof typeof ranges, lowest = ''): string => `${ranges[name].low}${lowest} to ${ranges[name].high}`

/** A number in the range that the server accepts. */
function ranged(name: keyof typeof ranges): Kind<number> {
  const { low, high, whole: isWhole } = ranges[name]
  return isWhole ? whole(low, high) : decimal(low, high)
}

/**
 * Every setting of limbot. It has the same name in limbot.conf and in `/set`, with `LLAMBO_LIMBOT_` before it in the
 * environment, and with `--` on the command line. docs/limbot.md lists them.
 */
export const settings = {
  model: setting({
    kind: name,
    value: 'name',
    short: 'm',
    help: 'the model to talk to; if unset, the one that is loaded',
  }),
  role: setting({
    kind: name,
    value: 'name',
    short: 'r',
    help: 'a role: roles/NAME.md in the configuration directory',
  }),
  system: setting({ kind: prose, value: 'text', short: 's', help: 'the system prompt; placed before the role’s' }),
  stats: setting({
    kind: toggle,
    value: 'on|off',
    initial: true,
    help: 'print a line of statistics after each answer',
  }),
  markdown: setting({
    kind: toggle,
    value: 'on|off',
    initial: true,
    help: 'format Markdown on a terminal with colours',
  }),
  save: setting({ kind: toggle, value: 'on|off', initial: true, help: 'save conversations' }),
  history: setting({ kind: toggle, value: 'on|off', initial: true, help: 'save what is typed, for the arrow keys' }),
  compact: setting({
    kind: toggle,
    value: 'on|off',
    initial: true,
    help: 'summarise the older messages before the context overflows',
  }),
  editor: setting({
    kind: prose,
    value: 'command',
    help: 'the editor that Ctrl-G opens; if unset, $VISUAL, $EDITOR or vi',
  }),
  temperature: setting({
    kind: ranged('temperature'),
    value: 'n',
    sampling: true,
    help: span('temperature', ' (always the most likely token)'),
  }),
  top_p: setting({ kind: ranged('top_p'), value: 'n', sampling: true, help: span('top_p') }),
  top_k: setting({ kind: ranged('top_k'), value: 'n', sampling: true, help: span('top_k', ' (all)') }),
  min_p: setting({ kind: ranged('min_p'), value: 'n', sampling: true, help: span('min_p') }),
  seed: setting({
    kind: ranged('seed'),
    value: 'n',
    sampling: true,
    help: 'the same seed gives the same text',
  }),
  max_tokens: setting({
    kind: ranged('max_tokens'),
    value: 'n',
    sampling: true,
    help: 'the longest answer, in tokens',
  }),
  stop: setting({ kind: prose, value: 'text', sampling: true, help: 'text at which an answer ends' }),
}

export type Key = keyof typeof settings
export const keys = Object.keys(settings) as Key[]
/**
 * The settings that belong to a conversation rather than to the user: the model, the role, the system prompt and
 * sampling.
 */
export const conversationKeys: readonly Key[] = keys.filter(
  key => /^(model|role|system)$/.test(key) || 'sampling' in settings[key],
)
type Value<K extends Key> = (typeof settings)[K] extends Setting<infer T> ? T : never
export type Values = { readonly [K in Key]: Value<K> | undefined }

/** A setting's name on the command line: `max-tokens`. */
export const flagOf = (key: Key): string => key.replaceAll('_', '-')
export const variableOf = (key: Key): string => `LLAMBO_LIMBOT_${key.toUpperCase()}`
/** The most bytes of limbot.conf: as many as its YAML may have characters (yaml.ts), of up to four bytes each. */
export const MAX_CONF = 128 * 1024
export const confFile = (env: NodeJS.ProcessEnv): string => join(configDir(env), 'limbot.conf')

/** The setting with a name, written with `_` or `-`. @throws Failure (usage) that lists the settings or suggests one */
export function keyOf(given: string, origin = ''): Key {
  const key = given.replaceAll('-', '_')
  if (Object.hasOwn(settings, key)) return key as Key
  throw usage(
    `${origin && `${origin}: `}${given}: unknown setting${didYouMean(key, keys) || `; settings: ${keys.join(', ')}`}`,
  )
}

/** Reads the value of a setting. @throws Failure (usage) that names the setting, what it accepts and what was given */
export function parseSetting(given: string, value: string, origin = ''): { key: Key; value: unknown } {
  const key = keyOf(given, origin)
  try {
    return { key, value: settings[key].kind(value, key) }
  } catch (error) {
    throw usage(`${origin && `${origin}: `}${(error as Error).message}`)
  }
}

/** The content of a configuration file. */
export interface Conf {
  readonly values: Map<Key, unknown>
  /** A line for each error in the file, which names the file, the line and the key. */
  readonly wrong: string[]
  /** Whether the file only ends too early, so that more text may complete it. */
  readonly unfinished: boolean
}

/**
 * Reads limbot.conf: YAML with one setting a line. Errors are returned and not thrown.
 * @param file how errors call the file
 */
export async function readConf(content: string, file: string): Promise<Conf> {
  const [{ isMap, isScalar }, { readYaml }] = await Promise.all([import('yaml'), import('./yaml.js')])
  const values = new Map<Key, unknown>()
  const wrong: string[] = []
  // every value is read as the text that is written: kinds.ts decides what `off` means, not YAML
  const { contents, errors, lineOf } = readYaml(content, 'failsafe')
  const at = (offset = 0) => `${file}:${lineOf(offset)}`
  for (const error of errors) wrong.push(`${at(error.at)}: ${error.message}`)
  const unfinished = errors.length > 0 && errors.every(error => error.at >= content.length)
  if (contents === null) return { values, wrong, unfinished }
  if (!isMap(contents)) {
    wrong.push(`${at((contents as Node).range?.[0])}: the file must hold settings with values, such as "stats: off"`)
    return { values, wrong, unfinished }
  }
  for (const { key: node, value } of contents.items) {
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
