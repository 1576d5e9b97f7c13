import { readFileSync } from 'node:fs'
import { isMap, LineCounter, parseDocument, parse as parseYaml, type YAMLMap } from 'yaml'
import { z } from 'zod'
import { usage } from './exit.js'
import { configFile } from './paths.js'
import { type Config, type Key, settings, workerClass } from './settings.js'
import { didYouMean } from './suggest.js'

/** Where a value comes from: `default`, `LLAMBO_SLOTS`, `--slots` or `FILE:LINE`. */
export type Origins = { readonly [K in Key]: string }

interface Found {
  value: unknown
  origin: string
  /** Where a part of the value stands in the file. */
  at?: (path: readonly PropertyKey[]) => string
}

const keys = Object.keys(settings) as Key[]
const groups = new Set(keys.flatMap(key => (key.includes('.') ? [key.slice(0, key.indexOf('.'))] : [])))
const isList = (key: Key) => settings[key].schema instanceof z.ZodArray

/**
 * The configuration in force: flag > environment > file > default.
 * @param flags values given on the command line, by key
 * @param file a file that must be there; without it `config.yaml` in the configuration directory, if there is one
 * @throws Failure (usage) that names the file and line, the variable or the flag, and the key
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

/** A word of the environment or the command line as the setting's type: lists are words, the rest is as in the file. */
export function fromText(key: Key, text: string): unknown {
  if (isList(key)) return text.split(/[\s,]+/).filter(Boolean)
  const { schema } = settings[key]
  if (!(schema instanceof z.ZodNumber || schema instanceof z.ZodRecord)) return text
  try {
    return parseYaml(text)
  } catch {
    // refused as the text that it is
    return text
  }
}

/** @returns what the value means @throws Failure (usage) naming where it stands and what of it cannot be meant */
function check(key: Key, { value, origin, at }: Found): unknown {
  const { data, error } = settings[key].schema.safeParse(value)
  const issue = error?.issues[0]
  if (!issue) return data
  const path = [...issue.path]
  if (issue.code === 'unrecognized_keys') path.push(issue.keys[0]!)
  const part = issue.path.reduce((whole: any, name) => whole?.[name], value)
  const full = [key, ...path].join('.')
  const name = path.length === 0 && origin === settings[key].flag ? '' : ` ${full}:`
  throw usage(
    `${path.length && at ? at(path) : origin}:${name} ${reason(issue, part, partOf(settings[key].schema, issue.path))}`,
  )
}

function reason(issue: z.core.$ZodIssue, value: unknown, schema: unknown): string {
  if (issue.code === 'unrecognized_keys') return unknownKey(issue.keys[0]!, Object.keys(workerClass.shape))
  if (issue.code === 'invalid_key') return issue.issues[0]!.message
  const words = issue.code === 'invalid_value' ? didYouMean(String(value), issue.values.map(String)) : ''
  const said = issue.code === 'custom' ? issue.message : `expected ${expected(schema)}`
  return `${said}, not ${JSON.stringify(value)}${words}`
}

/** What a schema takes, in words. */
function expected(schema: unknown): string {
  if (schema instanceof z.ZodOptional) return expected(schema.unwrap())
  if (schema instanceof z.ZodNumber)
    return `a ${schema.isInt ? 'whole ' : ''}number from ${schema.minValue} to ${schema.maxValue}`
  if (schema instanceof z.ZodEnum) return schema.options.join(' or ')
  if (schema instanceof z.ZodURL) return 'a URL such as http://127.0.0.1:8080/v1'
  if (schema instanceof z.ZodArray) return 'a list of words'
  if (schema instanceof z.ZodRecord || schema instanceof z.ZodObject) return 'keys with values'
  const { maxLength } = schema as z.ZodString
  return maxLength ? `a text of 1 to ${maxLength} characters` : 'a text'
}

/** The schema of a part of a setting. */
const partOf = (schema: unknown, path: readonly PropertyKey[]): unknown =>
  path.reduce<unknown>((whole, name) => {
    if (whole instanceof z.ZodRecord) return whole.valueType
    return whole instanceof z.ZodObject ? whole.shape[String(name)] : (whole as z.ZodArray).element
  }, schema)

const unknownKey = (key: string, known: readonly string[]): string =>
  `unknown key${didYouMean(key, known) || `; known are ${known.join(', ')}`}`

function readFile(path: string, required: boolean): Map<Key, Found> {
  const found = new Map<Key, Found>()
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (!required && code === 'ENOENT') return found
    throw usage(`${path}: ${code === 'ENOENT' ? 'file does not exist' : message}`)
  }
  const lines = new LineCounter()
  const doc = parseDocument(text, { lineCounter: lines, prettyErrors: false })
  const at = (offset = 0) => `${path}:${lines.linePos(offset).line}`
  const [broken] = doc.errors
  if (broken) throw usage(`${at(broken.pos[0])}: ${broken.message}`)
  if (doc.contents === null) return found
  if (!isMap(doc.contents))
    throw usage(`${at(doc.contents.range?.[0])}: the file must hold keys with values, such as "slots: 4"`)
  readMap(doc.contents, '', at, found)
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
    } else if (key in settings) {
      found.set(key as Key, {
        value: (value as { toJSON(): unknown } | null)?.toJSON() ?? null,
        origin: where,
        at: path => at(startOf(value, path) ?? node.range[0]),
      })
    } else {
      const known = [...keys, ...groups].filter(name => name.startsWith(prefix))
      throw usage(`${where}: ${key}: ${unknownKey(key, known)}`)
    }
  }
}

/** Where the part of a value that a path leads to begins; as near as the file has it. */
function startOf(node: unknown, [name, ...rest]: readonly PropertyKey[]): number | undefined {
  if (!isMap(node)) return undefined
  const pair = (node.items as { key: { value: unknown; range: number[] }; value: unknown }[]).find(
    ({ key }) => String(key.value) === name,
  )
  return (rest.length ? startOf(pair?.value, rest) : undefined) ?? pair?.key.range[0]
}
