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
    throw new Unfit(
      name,
      `expected at least ${MIN_MEMORY / 1024 ** 2} MiB (the code alone takes 75), not ${shown(value)}`,
    )
  return bytes
}

/** The most classes of one configuration, because a host lists each in its status. */
const MAX_CLASSES = 1000

function className(name: string): string | undefined {
  if (name === DEFAULT_CLASS) return `class ${name} is made from model, slots and engine; choose another name`
  if (/^[a-z0-9][a-z0-9._-]{0,63}$/.test(name)) return undefined
  return 'expected up to 64 of a-z, 0-9, ., _ and - as the name of a class'
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
    help: 'the model to load at the start: a name in models/, or a path; none: load one later, with `load` in ctl',
  }),
  slots: setting({
    env: 'LLAMBO_SLOTS',
    flag: '--slots',
    kind: whole(1, 256),
    initial: 4,
    help: 'answers that a worker generates at once',
  }),
  classes: setting({
    env: 'LLAMBO_CLASSES',
    kind: named(className, workerClass, MAX_CLASSES),
    written: 'yaml',
    initial: {},
    help: 'classes of workers besides `default`: for each, model, type, slots, context, kv_type, memory and cores',
  }),
  workers: setting({
    env: 'LLAMBO_WORKERS',
    flag: '--workers',
    kind: whole(0, 1000),
    initial: 1,
    help: 'worker processes to start on this machine, each with its own copy of the model',
  }),
  memory: setting({
    env: 'LLAMBO_MEMORY',
    kind: memory,
    help: 'memory for the server itself, without its workers, such as 512M; if unset, a quarter of what the machine or its container has',
  }),
  'priority.users': setting({
    env: 'LLAMBO_PRIORITY_USERS',
    kind: words,
    written: 'words',
    initial: [],
    help: 'users besides admins who may set a priority above 0: they get four turns for each turn of another user',
  }),
  mount: setting({
    env: 'LLAMBO_MOUNT',
    flag: '--mount',
    kind: text(),
    initial: 'auto',
    help: 'where to mount: a directory, auto (/n/llambo, or ~/n/llambo if that cannot be created) or off',
  }),
  listen: setting({
    env: 'LLAMBO_LISTEN',
    flag: '--listen',
    kind: words,
    written: 'words',
    initial: [],
    help: 'addresses to listen on besides the unix socket; without a ws address, also ws://127.0.0.1:5641/9p',
  }),
  names: setting({
    env: 'LLAMBO_NAMES',
    kind: words,
    written: 'words',
    initial: [],
    help: 'host names that HTTP clients may use for this server, besides loopback and the addresses it listens on',
  }),
  auth: setting({
    env: 'LLAMBO_AUTH',
    flag: '--auth',
    kind: oneOf('token', 'none'),
    initial: 'token',
    help: 'what listeners other than the unix socket require; none is allowed on loopback only',
  }),
  'tls.cert': setting({
    env: 'LLAMBO_TLS_CERT',
    kind: text(),
    help: 'certificate (PEM) of wss:// listeners; if unset, the server makes one',
  }),
  'tls.key': setting({ env: 'LLAMBO_TLS_KEY', kind: text(), help: 'its private key (PEM)' }),
  mdns: setting({
    env: 'LLAMBO_MDNS',
    kind: oneOf('on', 'off'),
    initial: 'on',
    help: 'whether a server that other machines can join announces itself on the local network, and whether join searches there',
  }),
  'join.address': setting({
    env: 'LLAMBO_JOIN',
    flag: '--join',
    kind: text(),
    help: 'the cluster that this one joins as a worker: wss://HOST:PORT/join; the token is in LLAMBO_TOKEN',
  }),
  'join.fingerprint': setting({
    env: 'LLAMBO_JOIN_FINGERPRINT',
    flag: '--fingerprint',
    kind: text(),
    help: 'fingerprint of the certificate that the cluster must have, as llamboctl invite prints it there',
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
    help: 'tokens of context for each slot; if unset, 8192, or what the model and half of the free memory allow',
  }),
  'engine.kv_type': setting({
    env: 'LLAMBO_ENGINE_KV_TYPE',
    kind: kvType,
    initial: 'f16',
    help: 'llama: format of the context in memory; q8_0 takes half of the memory, q4_0 a quarter, and answers get slightly worse',
  }),
  'engine.threads': setting({
    env: 'LLAMBO_ENGINE_THREADS',
    kind: whole(1, 1024),
    help: 'llama: number of threads',
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
    help: 'openai: the URL of the API, such as http://127.0.0.1:8080/v1',
  }),
  'engine.model': setting({ env: 'LLAMBO_ENGINE_MODEL', kind: text(), help: 'openai: the name of the model there' }),
  'engine.key_file': setting({
    env: 'LLAMBO_ENGINE_KEY_FILE',
    kind: text(),
    help: 'openai: a file with the API key; if unset, the key is in OPENAI_API_KEY',
  }),
  'engine.timeout': setting({
    env: 'LLAMBO_ENGINE_TIMEOUT',
    kind: silence,
    initial: 120,
    help: 'openai: seconds without any output after which an answer fails',
  }),
  'engine.rate': setting({
    env: 'LLAMBO_ENGINE_RATE',
    kind: decimal(0, 1e6),
    initial: 0,
    help: 'echo: tokens per second; 0: as fast as possible',
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
  if (unknown !== undefined) throw new Unfit(plain(unknown, 64), 'unknown setting')
  const read = Object.entries(from).map(([key, value]) => [key, settings[key as Key].kind(value, key)])
  return Object.fromEntries(read) as Config
}
