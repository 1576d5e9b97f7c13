/** Loads the configuration in force from flags, environment and configuration file. */
import { isMap, type Node, type YAMLMap } from 'yaml'
import type { Unfit } from '../api/field.js'
import { readBounded } from './bounded.js'
import { explain, usage } from './exit.js'
import { unknownKey } from './kinds.js'
import { configFile } from './paths.js'
import { type Config, type Key, settings } from './settings.js'
import { MAX_YAML, readYaml } from './yaml.js'

/**
 * Where each value comes from: `default`, a variable such as `LLAMBO_SLOTS`, a flag such as `--slots`, or `FILE:LINE`.
 */
export type Origins = { readonly [K in Key]: string }

interface Found {
  value: unknown
  origin: string
  /** Where a part of the value is in the file. The part is given by its keys with dots between them. */
  at?: (part: string) => string
}

const keys = Object.keys(settings) as Key[]
const groups = new Set(keys.flatMap(key => (key.includes('.') ? [key.slice(0, key.indexOf('.'))] : [])))

/**
 * Loads the configuration in force: a flag overrides the environment, which overrides the file, which overrides the
 * default.
 * @param flags values given on the command line, by key
 * @param file a file that must exist; without it `config.yaml` in the configuration directory is read, if it exists
 * @throws Failure (usage) that names the key and where it comes from: the file and line, the variable or the flag
 */
export function loadConfig(
  env: NodeJS.ProcessEnv,
  flags: { readonly [K in Key]?: unknown } = {},
  file?: string,
): { config: Config; origins: Origins } {
  const inFile = readFile(file ?? configFile(env), file !== undefined)
  const config: Record<string, unknown> = {}
  const origins: Record<string, string> = {}
  for (const key of keys) {
    const { env: variable, flag = key, initial } = settings[key]
    const found: Found =
      flags[key] !== undefined
        ? { value: flags[key], origin: flag }
        : env[variable]
          ? { value: fromText(key, env[variable]), origin: variable }
          : (inFile.get(key) ?? { value: initial, origin: 'default' })
    config[key] = found.origin === 'default' ? found.value : check(key, found)
    origins[key] = found.origin
  }
  return { config: config as unknown as Config, origins: origins as Origins }
}

/** Turns a text of the environment or the command line into a value that the setting's kind can check. */
export function fromText(key: Key, text: string): unknown {
  const { written } = settings[key] as { written?: 'words' | 'yaml' }
  if (written === 'words') return text.split(/[\s,]+/).filter(Boolean)
  if (written !== 'yaml') return text
  const { contents, errors } = readYaml(text)
  // a text that is not YAML goes on as it is, and the kind refuses it
  return errors.length > 0 || contents === null ? text : (contents as Node).toJSON()
}

/**
 * Checks a value.
 * @returns the value that the kind made of it
 * @throws Failure (usage) that names its origin and the invalid part
 */
function check(key: Key, { value, origin, at }: Found): unknown {
  try {
    return settings[key].kind(value, key)
  } catch (error) {
    const { message, subject } = error as Unfit
    const inside = subject === key ? undefined : subject.slice(key.length + 1)
    const whole = inside === undefined && origin === settings[key].flag
    throw usage(
      `${(inside !== undefined && at?.(inside)) || origin}: ${whole ? message.slice(key.length + 2) : message}`,
    )
  }
}

function readFile(path: string, required: boolean): Map<Key, Found> {
  const found = new Map<Key, Found>()
  let text: string
  try {
    // a character has up to four bytes
    text = readBounded(path, 4 * MAX_YAML)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (!required && code === 'ENOENT') return found
    throw usage(code === 'ENOENT' ? `${path}: file does not exist` : explain(error))
  }
  const { contents, errors, lineOf } = readYaml(text)
  const at = (offset = 0) => `${path}:${lineOf(offset)}`
  const [broken] = errors
  if (broken) throw usage(`${at(broken.at)}: ${broken.message}`)
  if (contents === null) return found
  if (!isMap(contents))
    throw usage(`${at((contents as Node).range?.[0])}: the file must hold keys with values, such as "slots: 4"`)
  readMap(contents, '', at, found)
  return found
}

function readMap(map: YAMLMap, prefix: string, at: (offset?: number) => string, found: Map<Key, Found>): void {
  for (const { key: node, value } of map.items as { key: { value: unknown; range: number[] }; value: unknown }[]) {
    const key = `${prefix}${node.value}`
    const where = at(node.range[0])
    if (groups.has(key)) {
      if (!isMap(value))
        throw usage(
          `${where}: ${key}: must hold keys with values, such as "${keys.find(k => k.startsWith(`${key}.`))?.replace('.', ': ')}"`,
        )
      readMap(value, `${key}.`, at, found)
    } else if (Object.hasOwn(settings, key)) {
      found.set(key as Key, {
        value: (value as { toJSON(): unknown } | null)?.toJSON() ?? null,
        origin: where,
        at: part => at(startOf(value, part) ?? node.range[0]),
      })
    } else {
      const known = [...keys, ...groups].filter(name => name.startsWith(prefix))
      throw usage(`${where}: ${key}: ${unknownKey(key, known)}`)
    }
  }
}

/** The offset at which a part of a value begins, or the nearest key above it. Keys may contain dots. */
function startOf(node: unknown, part: string): number | undefined {
  if (!isMap(node)) return undefined
  const pair = (node.items as { key: { value: unknown; range: number[] }; value: unknown }[]).find(
    ({ key: { value } }) => part === String(value) || part.startsWith(`${value}.`),
  )
  if (!pair) return undefined
  return startOf(pair.value, part.slice(String(pair.key.value).length + 1)) ?? pair.key.range[0]
}
