/**
 * Parses the files in the runtime directory by which the programs of one user find each other: `server.json`,
 * `join.json`, `workers.json`.
 */
import * as field from './field.js'
import { workerClass } from './worker.js'

/** Most characters of one file: the thousand workers of a host (cluster/host.ts) with their classes written out. */
export const MAX_FILE = 4 * 1024 * 1024
/** The end of the name that a file gets which is damaged, so that no start reads it again and a person finds it. */
export const DAMAGED = '.damaged'
/** The largest process number on Linux (PID_MAX_LIMIT). */
const MAX_PID = 4_194_304
const MAX_PATH = 4_096

const pid = field.integer(1, MAX_PID)
/** When the process started, in clock ticks since the machine booted. */
const born = field.optional(field.matching(/^\d+$/, 20, 'a number'), undefined)
const path = field.matching(/^[^\p{Cc}]+$/u, MAX_PATH, 'text without control characters')

/** Reads `server.json`: the running server of a user. */
export const serverFile = field.object({
  pid,
  born,
  addresses: field.list(path, 64),
  /** The fingerprint of the certificate that its wss listeners present, `sha256:HEX`. */
  fingerprint: field.optional(field.digest, undefined),
  mounts: field.list(path, 64),
  /** The processes behind the mounts, as long as they run. */
  mounters: field.optional(field.list(field.object({ pid, born }), 64), undefined),
  /** ISO 8601. */
  started: field.optional(field.line(64), ''),
})

/** Reads `join.json`: the process with which this machine has joined a cluster. */
export const joinFile = field.object({
  pid,
  born,
  started: field.optional(field.line(64), ''),
  /** The address it joined. */
  address: path,
  /** Identifies its cluster and token: SHA-256 of both. */
  upstream: field.optional(field.secret, ''),
})

/** Reads `workers.json`: the workers that a host had when it last saved them. */
export const workersFile = field.object({
  config: value => value,
  asked: field.integer(0, 1_000_000),
  workers: field.list(
    field.object({
      pid,
      born,
      id: field.id,
      boot: field.id,
      class: workerClass,
      hold: field.optional(field.line(MAX_PATH), undefined),
      secret: field.optional(field.secret, undefined),
    }),
    1_000,
  ),
})
