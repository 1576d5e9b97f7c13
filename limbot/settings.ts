/** limbot's settings, from /set, the command line, the environment, the role and limbot.conf. */
import type { Sampling } from '../api/sampling.js'
import { readBounded } from '../cli/bounded.js'
import type { Options } from '../cli/command.js'
import {
  confFile,
  conversationKeys,
  flagOf,
  type Key,
  keyOf,
  keys,
  MAX_CONF,
  parseSetting,
  readConf,
  settings,
  type Values,
  variableOf,
} from '../cli/limbotconf.js'
import { brief } from './text.js'

type Layer = Map<Key, unknown>

/** Characters of a setting in a line that shows several. */
const SHOWN = 40

/**
 * The settings in force. The first of these sources that has a value wins: /set, command line, environment, role,
 * limbot.conf, default.
 */
export class Settings {
  readonly #layers: { set: Layer; flags: Layer; env: Layer; role: Layer; file: Layer }

  private constructor(flags: Layer, env: Layer, file: Layer) {
    this.#layers = { set: new Map(), flags, env, role: new Map(), file }
  }

  /**
   * Reads all sources. An invalid value in the environment or the file is reported and ignored.
   * @param wrong called with a line for each invalid value
   * @throws Failure (usage) for an invalid value on the command line
   */
  static async load(options: Options, env: NodeJS.ProcessEnv, wrong: (line: string) => void): Promise<Settings> {
    const flags: Layer = new Map()
    const variables: Layer = new Map()
    for (const key of keys) {
      const flag = options[camel(flagOf(key))]
      if (typeof flag === 'string') flags.set(key, parseSetting(key, flag, `--${flagOf(key)}`).value)
      const variable = env[variableOf(key)]
      if (variable === undefined || variable === '') continue
      try {
        variables.set(key, parseSetting(key, variable, variableOf(key)).value)
      } catch (error) {
        wrong((error as Error).message)
      }
    }
    if (options.save === false) {
      flags.set('save', false)
      flags.set('history', false)
    }
    return new Settings(flags, variables, await fromFile(env, wrong))
  }

  get<K extends Key>(key: K): Values[K] {
    for (const layer of Object.values(this.#layers)) if (layer.has(key)) return layer.get(key) as Values[K]
    return settings[key].initial as Values[K]
  }

  /**
   * Sets a setting, as `/set` does; with undefined, removes what `/set` has set.
   * @throws Failure that says which values the setting takes
   */
  set(given: string, value: string | undefined): Key {
    if (value === undefined) {
      const key = keyOf(given)
      this.#layers.set.delete(key)
      return key
    }
    const { key, value: meant } = parseSetting(given, value)
    this.#layers.set.set(key, meant)
    return key
  }

  /** Chooses no value, as `/model any` does, even if the command line or a file has one. */
  unset(key: Key): void {
    this.#layers.set.set(key, undefined)
  }

  /** Removes a value from `/set` and the command line, because it turned out not to be available. */
  forget(key: Key): void {
    this.#layers.set.delete(key)
    this.#layers.flags.delete(key)
  }

  /** The settings chosen for the conversation, by `/set` or on the command line; null: chosen to be unset. */
  get chosen(): Readonly<Record<string, unknown>> {
    const { flags, set } = this.#layers
    const chosen = new Map([...flags, ...set])
    return Object.fromEntries(
      conversationKeys.filter(key => chosen.has(key)).map(key => [key, chosen.get(key) ?? null]),
    )
  }

  /**
   * Takes the settings that were chosen for a saved conversation; the command line overrides them.
   * @returns the settings that changed by this, as text, and an error for each value that is invalid
   */
  take(chosen: Readonly<Record<string, unknown>>): { taken: string[]; wrong: string[] } {
    const { flags, set } = this.#layers
    const taken: string[] = []
    const wrong: string[] = []
    for (const key of conversationKeys) {
      set.delete(key)
      const value = chosen[key]
      const before = this.get(key) ?? ''
      if (value === undefined || flags.has(key)) continue
      try {
        if (value === null) this.unset(key)
        else this.set(key, String(value))
        const now = this.get(key) ?? ''
        if (now !== before) taken.push(brief(`${key} ${now === '' ? 'unset' : now}`, SHOWN))
      } catch (error) {
        wrong.push((error as Error).message)
      }
    }
    return { taken, wrong }
  }

  /** Takes the settings of a role. */
  set role(values: Layer) {
    this.#layers.role = values
  }

  /** The sampling settings that have a value, as fields of a request. */
  get sampling(): Partial<Sampling> {
    const said = keys.filter(key => 'sampling' in settings[key] && this.get(key) !== undefined)
    return Object.fromEntries(said.map(key => [key, key === 'stop' ? [this.get(key)] : this.get(key)]))
  }

  /** One setting as `/set` prints it. @throws Failure if there is no such setting */
  line(given: string): string {
    const key = keyOf(given)
    const value = this.get(key)
    const shown =
      value === undefined || value === '' ? '–' : typeof value === 'boolean' ? (value ? 'on' : 'off') : `${value}`
    return `${key.padEnd(12)} ${shown.replaceAll('\n', ' ')}`.trimEnd()
  }

  /** All settings as `/set` prints them, each with its help. */
  lines(): string[] {
    return keys.map(key => `${this.line(key).padEnd(22)} ${settings[key].help}`)
  }
}

const camel = (flag: string): string => flag.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase())

async function fromFile(env: NodeJS.ProcessEnv, wrong: (line: string) => void): Promise<Layer> {
  const file = confFile(env)
  let content: string
  try {
    content = readBounded(file, MAX_CONF)
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (code !== 'ENOENT') wrong(`${file}: ${message}`)
    return new Map()
  }
  const read = await readConf(content, file)
  for (const line of read.wrong) wrong(line)
  return read.values
}
