/** The records of `status`, of a worker and of a cluster, and of a host's `status` (docs/files.md, docs/cluster.md). */
import { MAX_MODEL } from './conversation.js'
import * as field from './field.js'
import { recordFile } from './record-file.js'
import * as report from './report.js'
import { MAX_BYTES, MAX_SLOTS } from './report.js'
import type { Attributes } from './written.js'

const none = undefined
const count = (most: number) => field.optional(field.integer(0, most), 0)
const rate = field.optional(field.number(0, 1e12), 0)
const note = (most: number) => field.optional(field.line(most), '')
const reason = field.optional(field.line(1000), none)

/** What a worker, a cluster or a host is: the first record of its `status`. */
const server = {
  ...report.server,
  // a program that shows a status needs none of these
  name: field.optional(field.name, ''),
  kind: field.optional(report.server.kind, 'server' as const),
  id: field.optional(field.id, ''),
  version: field.optional(field.word, ''),
  /** The part of the slots that is in use. */
  util: rate,
  /** Processors of a host. */
  cores: rate,
  uptime_s: rate,
  /** Workers of a cluster or a host, and hosts of a cluster. */
  workers: field.optional(field.integer(0, MAX_SLOTS), none),
  hosts: field.optional(field.integer(0, MAX_SLOTS), none),
  /** How a cluster chooses a worker. */
  strategy: field.optional(field.word, none),
  /** The model that answers a cluster's plain prompts. */
  model: field.optional(field.line(MAX_MODEL), none),
  /** How many bytes a cluster's server may keep for users, and how many it keeps. */
  memory: field.optional(field.integer(0, MAX_BYTES), none),
  memory_used: field.optional(field.integer(0, MAX_BYTES), none),
}

/** A model of a store, or of a cluster. */
const model = {
  ...report.model,
  architecture: note(64),
  /** How many workers of a cluster have it loaded. */
  workers: count(MAX_SLOTS),
  /** Different files bear its name. */
  conflict: field.optional(field.flag, false),
}

/** A member of a cluster: a worker, or another cluster. */
const member = {
  name: field.name,
  host: field.optional(field.name, ''),
  state: field.optional(field.word, ''),
  class: field.optional(field.name, ''),
  model: note(255),
  slots: count(MAX_SLOTS),
  active: count(MAX_SLOTS),
  queue: count(MAX_SLOTS),
  tok_s: rate,
  /** 0: not known yet. */
  latency_ms: rate,
  mem_free: count(MAX_BYTES),
  kind: field.optional(field.word, ''),
  loading: note(255),
  error: reason,
  /** Only while a model is being loaded. */
  progress: field.optional(field.number(0, 1), none),
  id: field.optional(field.id, ''),
  boot: field.optional(field.id, ''),
  /** What ended the process before this one. */
  ended: reason,
}

/** A worker that a host supervises. */
const supervised = {
  ...report.supervised,
  pid: field.optional(field.integer(0, 2 ** 31), none),
  class: field.optional(field.name, ''),
  restarts: count(Number.MAX_SAFE_INTEGER),
  boot: field.optional(field.id, ''),
  /** What ended the process before this one. */
  error: reason,
}

/** A class of worker that a host can start (api/worker.ts says what each attribute is). */
const spawnable = {
  ...report.spawnable,
  type: note(64),
  slots: count(MAX_SLOTS),
  context: count(2 ** 31),
  kv_type: note(64),
  prefer: count(100),
  memory: rate,
  cores: rate,
}

/** `status` of a worker and of a cluster. Only a cluster has workers. */
export const status = recordFile('status', { server }, { model, worker: member, orphan: report.orphan })
/** `host/NAME/status`. */
export const hostStatus = recordFile('status', { server }, { worker: supervised, class: spawnable })

/** The records of a server, of a model and of a cluster's worker, as a program reads them. */
export type ServerRecord = field.Shaped<typeof server>
export type ModelRecord = field.Shaped<typeof model>
export type MemberRecord = field.Shaped<typeof member>
/** The attributes of a server's record, as they are written. */
export type ServerAttributes = Attributes<ServerRecord>
