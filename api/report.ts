/**
 * Parses the `status` of a worker, a cluster or a host that has joined: the capability record and the records after it
 * (docs/files.md). A cluster relies on what it says, and refuses a joiner whose status has one invalid attribute of
 * those here. api/status.ts has the records with all their attributes.
 */
import { fail } from '../fs/base/errors.js'
import * as field from './field.js'
import { fit, records } from './text.js'

/**
 * Most characters of one status. A worker's has a record of some 200 characters for each model of its store, and a
 * host's one for each of up to 1,000 workers. A cluster's has a record of some 300 characters for each worker: ten
 * thousand of them fit.
 */
export const MAX_STATUS = { cluster: 4 * 1024 * 1024, other: 512 * 1024 } as const
/** Most records of one status. A useful record has at least some 100 characters. */
const MAX_RECORDS = 40_000
/** Most models of one store or cluster. The cluster keeps a record for each model of each member. */
const MAX_MODELS = 4_096
/** Most orphaned exchanges that a worker reports: as many as one connection can have open. */
const MAX_ORPHANS = 4_096
/** Most workers, and most classes, of one host (cluster/host.ts starts no more workers than this). */
const MAX_WORKERS = 1_000
/** Most clusters at and below one cluster. */
const MAX_CLUSTERS = 1_000
/** Most slots that one member may claim: routing adds them up. */
export const MAX_SLOTS = 1_000_000
/** Most bytes of memory that a machine may claim: sums over all members stay exact. */
export const MAX_BYTES = 2 ** 50

/** The worker class that always exists, made from the plain settings. */
export const DEFAULT_CLASS = 'default'

const count = (most: number) => field.optional(field.integer(0, most), 0)
const rate = field.optional(field.number(0, 1e12), 0)
const note = (most: number) => field.optional(field.line(most), '')
const reason = field.optional(field.line(1000), undefined)

/** What a cluster uses of the first record of a joiner's `status`. */
export const server = {
  name: field.name,
  kind: field.oneOf(['worker', 'cluster', 'host']),
  /** Stays the same for life. */
  id: field.id,
  /** Changes with each start of the process. */
  boot: field.optional(field.id, ''),
  version: field.word,
  /** The name of the machine; empty if not known. */
  host: field.optional(field.name, ''),
  /** The id of the host that supervises it; empty if none does. */
  host_id: field.optional(field.id, ''),
  class: field.optional(field.name, ''),
  state: field.optional(field.word, ''),
  slots: count(MAX_SLOTS),
  active: count(MAX_SLOTS),
  queue: count(MAX_SLOTS),
  /** Answers that were told to stop long ago and still run. */
  stuck: count(MAX_SLOTS),
  tok_s: rate,
  latency_ms: rate,
  /**
   * How long an answer may produce nothing, in seconds, where a remote server makes the text; 0: the worker makes it
   * itself.
   */
  patience_s: field.optional(field.number(0, 86_400), 0),
  /** Prompts go first to the workers with the highest value, of those that could answer. */
  prefer: field.optional(field.number(0, 100), 0),
  mem_total: count(MAX_BYTES),
  mem_free: count(MAX_BYTES),
  cpu: note(256),
  gpu: field.optional(field.line(256), 'none'),
  gpu_mem: count(MAX_BYTES),
  /** The model that is being loaded, and how far, 0 to 1. */
  loading: note(255),
  progress: field.optional(field.number(0, 1), 0),
  /** Why it holds no model although it should. */
  error: reason,
  /** The ids of this cluster and of all clusters below it. */
  clusters: field.optional(field.commas(field.id, MAX_CLUSTERS, 65 * MAX_CLUSTERS), [] as string[]),
}

/** What it uses of a model's record. */
export const model = {
  name: field.model,
  type: field.optional(field.line(64), 'text'),
  size: count(MAX_BYTES),
  loaded: field.optional(field.flag, false),
  /** `sha256:…`; empty if there is none, or not yet. */
  digest: field.optional(field.digest, ''),
  context: count(2 ** 31),
  /** Why it cannot be loaded. */
  problem: reason,
  /** What the operator should know about the loaded model, such as that its context could be longer. */
  note: reason,
}

/** An exchange that came through a cluster which is no longer connected to read it. */
export const orphan = {
  /** Its number on the worker. */
  id: field.serial,
  cluster: field.id,
  /** Its number in the cluster that sent it. */
  task: field.serial,
  attempt: field.integer(1, 1000),
  user: field.user,
  uid: field.integer(0, 0xffffffff),
  session: field.optional(field.serial, undefined),
  /** Proves that this worker was given the exchange (orchestrator/dispatch/proof.ts). */
  proof: field.optional(field.secret, ''),
}

/** What it uses of the record of a worker that a host supervises. */
export const supervised = {
  id: field.id,
  state: field.optional(field.word, ''),
  /** The model that its next process loads first, if not that of its class. */
  hold: note(4096),
}

/** What it uses of the record of a class of worker that a host can start. */
export const spawnable = { name: field.name, model: note(4096) }

const read = {
  server: field.object(server),
  model: field.object(model),
  orphan: field.object(orphan),
  worker: field.object(supervised),
  class: field.object(spawnable),
}

export type ModelRecord = field.Of<typeof read.model>
export type OrphanRecord = field.Of<typeof read.orphan>
export type SupervisedRecord = field.Of<typeof read.worker>
export type ClassRecord = field.Of<typeof read.class>

/** The parsed status of a worker, a cluster or a host. */
export interface Report extends field.Of<typeof read.server> {
  readonly models: readonly ModelRecord[]
  readonly orphans: readonly OrphanRecord[]
  /** Only from a host. */
  readonly workers: readonly SupervisedRecord[]
  readonly classes: readonly ClassRecord[]
}

/**
 * Reads the records that are valid and skips the others. The names of files and users in them come from people, and the
 * worker must not be refused because of them.
 */
function proper<T>(of: field.Field<T>, records: readonly object[], name: string, most: number): T[] {
  if (records.length > most) throw new field.Unfit(name, `${records.length} records, at most ${most}`)
  return records.flatMap(record => fit(of, record, name))
}

/** Most characters that a status may have, given its beginning, which already says the `kind`. */
export const mostOf = (head: string): number =>
  /^server [^\n]{0,2000} kind=cluster /.test(head) ? MAX_STATUS.cluster : MAX_STATUS.other

/**
 * Reads a `status`.
 * @throws FsError `bad message` that names what is missing or breaks its bounds; nothing of such a status is used
 */
export function parseReport(text: string): Report {
  try {
    return report(text)
  } catch (error) {
    throw fail('badMessage', `status: ${(error as Error).message}`)
  }
}

function report(text: string): Report {
  const all = records(text, 'all', { characters: mostOf(text.slice(0, 4096)), count: MAX_RECORDS })
  const first = all.shift()
  if (first?.word !== 'server') throw new Error('expected a server record at the beginning')
  const of = (word: string) => all.filter(record => record.word === word).map(({ attrs }) => attrs)
  const self = read.server(first.attrs, 'server')
  return {
    ...self,
    models: proper(read.model, of('model'), 'model', MAX_MODELS),
    orphans: proper(read.orphan, of('orphan'), 'orphan', MAX_ORPHANS),
    // a cluster's worker records are its members; no reader here needs them
    workers: self.kind === 'host' ? field.list(read.worker, MAX_WORKERS)(of('worker'), 'worker') : [],
    classes: field.list(read.class, MAX_WORKERS)(of('class'), 'class'),
  }
}
