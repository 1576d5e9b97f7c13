/** Parses what a host sends to a worker's standard input, and what a worker and its trial process send each other. */
import { MAX_MODEL } from './conversation.js'
import * as field from './field.js'
import { json } from './text.js'

/** Most characters of a worker's spec: the settings with up to a thousand classes. */
export const MAX_SPEC = 1024 * 1024
/** Most characters of a line to or from a trial process: a path and a sentence. */
export const MAX_LINE = 16 * 1024

const none = undefined
const path = field.matching(/^[^\p{Cc}]+$/u, MAX_MODEL, 'text without control characters')
const context = field.integer(256, 16 * 1024 * 1024)

/** A class of workers that a host can start, as it stands in the settings, in `workers.json` and in a worker's spec. */
export const workerClass = field.object({
  name: field.name,
  model: field.optional(path, none),
  type: field.optional(field.line(64), none),
  slots: field.integer(1, 256),
  context: field.optional(context, none),
  kv_type: field.optional(field.word, none),
  prefer: field.optional(field.integer(0, 100), none),
  memory: field.number(0, 2 ** 53),
  cores: field.number(0, 1024),
})

const workerSpec = field.object({
  id: field.id,
  boot: field.id,
  class: workerClass,
  /** The model it loads first, if not that of its class. */
  hold: field.optional(path, none),
  host_id: field.id,
  upstream: field.object({
    address: path,
    token: field.optional(path, none),
    fingerprint: field.optional(field.digest, none),
  }),
  secret: field.secret,
  /** The name of the machine. */
  host: field.name,
  /** The settings. cli/settings.ts checks each of them. */
  config: field.some,
  /** How long it keeps running without its cluster, in ms. */
  orphan_ms: field.number(0, 2 ** 31),
})

/** Reads the spec that a host sends to its worker. @throws Unfit */
export const parseWorkerSpec = (text: string) => workerSpec(json(text, 'the spec', MAX_SPEC), 'the spec')

const gpu = field.oneOf(['auto', 'cuda', 'vulkan', 'metal', false])

const trialSpec = field.object({
  path,
  gpu,
  kvType: field.oneOf(['f16', 'q8_0', 'q4_0']),
  threads: field.optional(field.integer(1, 1024), none),
  context,
})

/** Reads what a worker sends to a trial process: a model file, and the settings to try it with. @throws Unfit */
export const parseTrialSpec = (text: string) => trialSpec(json(text, 'the trial', MAX_LINE), 'the trial')

const yes = field.optional(field.oneOf([true]), none)

const trialWord = field.object({
  /** How much of the file has been read, 0 to 1. */
  progress: field.optional(field.number(0, 1), none),
  loaded: yes,
  ok: yes,
  message: field.optional(field.line(1000), none),
  errno: field.optional(field.integer(0, 4095), none),
})

/** Reads a line that a trial process prints; undefined for any other line, such as one of a library. */
export function parseTrialWord(line: string): field.Of<typeof trialWord> | undefined {
  try {
    return trialWord(json(line, 'the trial', MAX_LINE), 'the trial')
  } catch {
    return undefined
  }
}
