import { readBounded } from '../ctl/common/bounded.js'
import type { Options } from '../ctl/common/command.js'
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
} from '../ctl/common/limbotconf.js'
import { brief } from './conversation.js'

type Layer = Map<Key, unknown>

/** Columns of a setting in a line that names several. */
const SHOWN = 40

/** The settings in force: /set > command line > environment > role > limbot.conf > what goes unless anything is said. */
export class Settings {
  readonly #layers: { set: Layer; flags: Layer; env: Layer; role: Layer; file: Layer }

  private constructor(flags: Layer, env: Layer, file: Layer) {
    this.#layers = { set: new Map(), flags, env, role: new Map(), file }
  }

  /**
   * Reads them all. A mistake on the command line is one; in the environment and the file it costs that setting.
   * @param wrong told, a line each, what could not be meant
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

  /** `/set`. Nothing: as if it had never been said. @throws Failure naming what it takes */
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

  /** `/model any` and its like: none, also where the command line or a file names one. */
  unset(key: Key): void {
    this.#layers.set.set(key, undefined)
  }

  /** As if it had been said neither by `/set` nor on the command line: what was said cannot be had. */
  forget(key: Key): void {
    this.#layers.set.delete(key)
    this.#layers.flags.delete(key)
  }

  /** What was chosen for the conversation, here or on the command line; null: none. */
  get chosen(): Readonly<Record<string, unknown>> {
    const { flags, set } = this.#layers
    const chosen = new Map([...flags, ...set])
    return Object.fromEntries(
      conversationKeys.filter(key => chosen.has(key)).map(key => [key, chosen.get(key) ?? null]),
    )
  }

  /**
   * Becomes what was chosen for a conversation; the command line goes before it.
   * @returns what is other than it would have been, and what of it cannot be meant
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
        if (now !== before) taken.push(brief(`${key} ${now === '' ? 'none' : now}`, SHOWN))
      } catch (error) {
        wrong.push((error as Error).message)
      }
    }
    return { taken, wrong }
  }

  /** What a role says. */
  set role(values: Layer) {
    this.#layers.role = values
  }

  /** The sampling settings that somebody has said, as a request has them. */
  get sampling(): Readonly<Record<string, unknown>> {
    const said = keys.filter(key => 'sampling' in settings[key] && this.get(key) !== undefined)
    return Object.fromEntries(said.map(key => [key, key === 'stop' ? [this.get(key)] : this.get(key)]))
  }

  /** One of them as `/set` prints it. @throws Failure for one that is none */
  line(given: string): string {
    const key = keyOf(given)
    const value = this.get(key)
    const shown =
      value === undefined || value === '' ? '–' : typeof value === 'boolean' ? (value ? 'on' : 'off') : `${value}`
    return `${key.padEnd(12)} ${shown.replaceAll('\n', ' ')}`.trimEnd()
  }

  /** All of them, each with what it takes. */
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
