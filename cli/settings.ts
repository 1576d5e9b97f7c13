/** The settings of a server. */

import { plain, shown, Unfit } from '../api/field.js'
import { DEFAULT_CLASS } from '../api/report.js'
import { decimal, type Kind, named, oneOf, only, size, text, url, whole, words } from './kinds.js'

/**
 * One setting: its environment variable, its flag of `llamboctl up` where it has one, its type and its default. Its key
 * below is its name in the configuration file, where a dot is a level. The schema of the file, the variables, `config
 * show` and docs/llamboctl.md all come from these rows.
 */
interface Setting<T> {
  readonly env: string
  readonly flag?: string
  readonly kind: Kind<T>
  /**
   * How a variable or the command line writes it, where not as one word: words with spaces or commas between them, or
   * YAML.
   */
  readonly written?: 'words' | 'yaml'
  /** The default; without one the setting stays unset. */
  readonly initial?: NoInfer<T>
  readonly help: string
}

const setting = <T>(row: Setting<T>): Setting<T> => row

const contextSize = whole(256, 16 * 1024 * 1024)
const kvType = oneOf('f16', 'q8_0', 'q4_0')

/** The least memory, in bytes: with less a server could not accept a single long request. */
const MIN_MEMORY = 128 * 1024 ** 2
const memory: Kind<number> = (value, name) => {
  const bytes = size(value, name)
  if (bytes < MIN_MEMORY)
    throw new Unfit(name, `at least ${MIN_MEMORY / 1024 ** 2} MiB: the code alone takes 75, not ${shown(value)}`)
  return bytes
}

/** The most classes of one configuration, because a host lists each in its status. */
const MAX_CLASSES = 1000

function className(name: string): string | undefined {
  if (name === DEFAULT_CLASS) return `class ${name} is what model, slots and engine say; choose another name`
  if (/^[a-z0-9][a-z0-9._-]{0,63}$/.test(name)) return undefined
  return 'a class is called by a-z, 0-9, . _ and -, up to 64 of them'
}

const engineKind = oneOf('llama', 'openai', 'echo')
const silence = whole(5, 3600)

const workerClass = only({
  model: text(),
  type: text(64),
  slots: whole(1, 256),
  context: contextSize,
  kv_type: kvType,
  engine: engineKind,
  url,
  key_file: text(),
  timeout: silence,
  prefer: whole(0, 100),
  workers: whole(0, 1000),
  memory: size,
  cores: decimal(0, 1024),
})

/** Every setting of a server, by its name. */
export const settings = {
  model: setting({
    env: 'LLAMBO_MODEL',
    flag: '--model',
    kind: text(),
    initial: 'llambo-tiny',
    help: 'the model to load at the start: a name in models/, or a path; none: wait for `load` in ctl',
  }),
  slots: setting({
    env: 'LLAMBO_SLOTS',
    flag: '--slots',
    kind: whole(1, 256),
    initial: 4,
    help: 'answers made at once',
  }),
  classes: setting({
    env: 'LLAMBO_CLASSES',
    kind: named(className, workerClass, MAX_CLASSES),
    written: 'yaml',
    initial: {},
    help: 'kinds of workers that can be started besides `default`: for each model, type, slots, context, kv_type, memory and cores',
  }),
  workers: setting({
    env: 'LLAMBO_WORKERS',
    flag: '--workers',
    kind: whole(0, 1000),
    initial: 1,
    help: 'worker processes to start on this machine, each with the model of its own',
  }),
  memory: setting({
    env: 'LLAMBO_MEMORY',
    kind: memory,
    help: 'what the server itself may use, without its workers: such as 512M; a quarter of what the machine or its container has unless set',
  }),
  'priority.users': setting({
    env: 'LLAMBO_PRIORITY_USERS',
    kind: words,
    written: 'words',
    initial: [],
    help: 'users besides admins who may ask for a priority above 0: four turns for one of each other user',
  }),
  mount: setting({
    env: 'LLAMBO_MOUNT',
    flag: '--mount',
    kind: text(),
    initial: 'auto',
    help: 'where to mount: a directory, auto (/n/llambo, or ~/n/llambo if that may not be made) or off',
  }),
  listen: setting({
    env: 'LLAMBO_LISTEN',
    flag: '--listen',
    kind: words,
    written: 'words',
    initial: [],
    help: 'addresses to listen on besides the unix socket; without a ws one, ws://127.0.0.1:5641/9p as well',
  }),
  names: setting({
    env: 'LLAMBO_NAMES',
    kind: words,
    written: 'words',
    initial: [],
    help: 'host names by which HTTP clients may call this server, besides loopback and what it listens on',
  }),
  auth: setting({
    env: 'LLAMBO_AUTH',
    flag: '--auth',
    kind: oneOf('token', 'none'),
    initial: 'token',
    help: 'what listeners other than the unix socket ask for; none on loopback only',
  }),
  'tls.cert': setting({
    env: 'LLAMBO_TLS_CERT',
    kind: text(),
    help: 'certificate (PEM) of wss:// listeners; the server makes one for itself unless set',
  }),
  'tls.key': setting({ env: 'LLAMBO_TLS_KEY', kind: text(), help: 'its private key (PEM)' }),
  mdns: setting({
    env: 'LLAMBO_MDNS',
    kind: oneOf('on', 'off'),
    initial: 'on',
    help: 'whether a server that other machines can join says so on the local network, and join looks for one there',
  }),
  'join.address': setting({
    env: 'LLAMBO_JOIN',
    flag: '--join',
    kind: text(),
    help: 'a cluster that this one joins as one worker: wss://HOST:PORT/join; the token is in LLAMBO_TOKEN',
  }),
  'join.fingerprint': setting({
    env: 'LLAMBO_JOIN_FINGERPRINT',
    flag: '--fingerprint',
    kind: text(),
    help: 'of the certificate that cluster must have, as llamboctl invite prints it there',
  }),
  'engine.kind': setting({
    env: 'LLAMBO_ENGINE',
    flag: '--engine',
    kind: engineKind,
    initial: 'llama',
    help: 'llama: llama.cpp in this process; openai: a server with that API; echo: a stand-in that repeats the prompt',
  }),
  'engine.context': setting({
    env: 'LLAMBO_ENGINE_CONTEXT',
    kind: contextSize,
    help: 'tokens of context for each slot; 8192, or what the model and half of the free memory allow, unless set',
  }),
  'engine.kv_type': setting({
    env: 'LLAMBO_ENGINE_KV_TYPE',
    kind: kvType,
    initial: 'f16',
    help: 'llama: how the context is kept; q8_0 takes half of the memory, q4_0 a quarter, and answers get a little worse',
  }),
  'engine.threads': setting({
    env: 'LLAMBO_ENGINE_THREADS',
    kind: whole(1, 1024),
    help: 'llama: threads it computes with',
  }),
  'engine.gpu': setting({
    env: 'LLAMBO_ENGINE_GPU',
    kind: oneOf('auto', 'cuda', 'vulkan', 'metal', 'off'),
    initial: 'auto',
    help: 'llama: which GPU build to use',
  }),
  'engine.url': setting({
    env: 'LLAMBO_ENGINE_URL',
    kind: url,
    help: 'openai: the API, such as http://127.0.0.1:8080/v1',
  }),
  'engine.model': setting({ env: 'LLAMBO_ENGINE_MODEL', kind: text(), help: 'openai: the name of the model there' }),
  'engine.key_file': setting({
    env: 'LLAMBO_ENGINE_KEY_FILE',
    kind: text(),
    help: 'openai: a file with the API key; else OPENAI_API_KEY is used where it is set',
  }),
  'engine.timeout': setting({
    env: 'LLAMBO_ENGINE_TIMEOUT',
    kind: silence,
    initial: 120,
    help: 'openai: seconds in which an answer may bring nothing at all, before it is given up',
  }),
  'engine.rate': setting({
    env: 'LLAMBO_ENGINE_RATE',
    kind: decimal(0, 1e6),
    initial: 0,
    help: 'echo: tokens a second, 0 as fast as it can',
  }),
  'engine.first_token_ms': setting({
    env: 'LLAMBO_ENGINE_FIRST_TOKEN_MS',
    kind: whole(0, 600_000),
    initial: 0,
    help: 'echo: milliseconds before the first token',
  }),
}

export type Key = keyof typeof settings
type Row<K extends Key> = (typeof settings)[K]
type Value<K extends Key> = Row<K> extends Setting<infer T> ? T : never

/** The settings in force. A setting that is not set and has no default is undefined. */
export type Config = { readonly [K in Key]: Value<K> | undefined }

/** Reads the settings that another of our processes passed on. Settings that it left out are not set. @throws Unfit */
export function readConfig(from: object): Config {
  const unknown = Object.keys(from).find(key => !Object.hasOwn(settings, key))
  if (unknown !== undefined) throw new Unfit(`setting ${plain(unknown, 64)}`, 'there is no such setting')
  const read = Object.entries(from).map(([key, value]) => [key, settings[key as Key].kind(value, key)])
  return Object.fromEntries(read) as Config
}
