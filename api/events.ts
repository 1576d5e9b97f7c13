/** The events of a cluster, a worker and a host: each kind with its attributes (docs/files.md#events, docs/cluster.md). */
import type { EventLog } from '../fs/kit/event-log.js'
import { exited, MAX_EVENT } from './exit.js'
import * as field from './field.js'
import { fit, records } from './text.js'
import type { Attributes } from './written.js'

const none = undefined
/** A name, a word or a path. */
const word = field.optional(field.line(1000), '')
/** The same where it may be missing. */
const perhaps = field.optional(field.line(1000), none)
const count = field.optional(field.integer(0, Number.MAX_SAFE_INTEGER), none)
const seconds = field.optional(field.number(0, 1e12), none)
/** A reason, in words. */
const error = perhaps

const worker = { worker: word }
const task = { task: word, user: word }
const dir = { dir: word }
const host = { host: word }
/** A process that a host has started, by the worker's id and its start. */
const start = { id: word, boot: word, class: word }
const ended = { ...task, error }
const wrong = { ...worker, error }
const load = { model: perhaps, error }

export const events = {
  started: { cluster: perhaps, worker: perhaps, host: perhaps, version: word, boot: word },
  refused: { error },
  strategy: { strategy: word },
  autoscale: { on: field.optional(field.flag, none) },
  'not-saved': { file: word, error },
  'not-spilled': { error },
  'not-restored': { worker: perhaps, session: perhaps, kept: perhaps, setting: perhaps, error },
  'tasks-forgotten': { tasks: count, error },

  'worker-joined': { ...worker, type: word, host: perhaps, class: perhaps, slots: count, model: perhaps },
  'worker-ready': { ...worker, slots: count, model: perhaps },
  'worker-suspect': { ...wrong, missed: count },
  'worker-left': { ...wrong, host: perhaps },
  'worker-ended': { ...wrong, host: perhaps, signal: perhaps, code: count },
  'worker-quarantined': { ...wrong, seconds },
  'worker-paused': { ...wrong, seconds },
  'worker-draining': worker,
  'worker-resumed': worker,
  'probe-failed': wrong,
  'attempt-failed': wrong,
  'load-fatal': { model: word, boot: word, signal: word },

  'host-joined': host,
  'host-left': { ...host, error },
  'join-refused': {
    from: word,
    type: perhaps,
    name: perhaps,
    /** For how long connections from there are closed. */
    wait_s: seconds,
    /** How many were closed in the pause before, and how many refusals before this one were not logged. */
    unheard: count,
    untold: count,
    error,
  },
  'orphan-refused': { ...worker, ...task },

  'task-queued': { ...task, session: perhaps },
  'task-started': { ...task, ...worker },
  'task-done': ended,
  'task-failed': ended,
  'task-cancelled': ended,
  'task-recovered': { ...task, ...worker },
  'recovery-failed': { task: word, error },
  /** How many workers the prompt has crashed. */
  poison: { ...task, deaths: count },

  'scale-up': { workers: count, add: count, class: word, why: word },
  'scale-down': { workers: count, remove: count, why: word },
  'scale-failed': { add: count, remove: count, class: perhaps, wait_s: seconds, error },

  mounted: { ...dir, pid: count },
  'mount-lost': { ...dir, error },
  'mount-hung': { ...dir, error },
  unmounted: dir,

  // of a worker; load-failed is also of a cluster, with the worker
  loading: load,
  loaded: load,
  'load-failed': { worker: perhaps, ...load },
  unloaded: load,
  'unload-failed': load,
  draining: {},
  resumed: {},

  // of a host; worker-hung is also of a cluster, with the worker
  'worker-started': { ...start, pid: count },
  'worker-adopted': { ...start, pid: count },
  'worker-exited': { ...exited, id: word, class: word },
  'worker-backoff': { id: word, boot: word, wait_s: seconds, crashes: count },
  'worker-hung': { worker: perhaps, id: perhaps, boot: perhaps, class: perhaps, error },
  'spawn-refused': { class: word, id: perhaps, error },
} as const satisfies Readonly<Record<string, field.Shape>>

type Table = typeof events
export type Kind = keyof Table
/** The attributes of each kind, as they are written. */
export type EventAttributes = { readonly [K in Kind]: Attributes<field.Shaped<Table[K]>> }
/** The events of a cluster, a worker or a host. */
export type Events = EventLog<EventAttributes>
/** Adds an event. */
export type Tell = Events['add']

/** The attributes of an event of a kind that this version knows. */
export type Known = { readonly [K in Kind]: { readonly kind: K } & field.Shaped<Table[K]> }[Kind]

/** An event as a program reads it. */
export interface Event {
  /** Its number, and its time in ISO 8601; 0 and '' if it has none. */
  readonly seq: number
  readonly time: string
  readonly kind: string
  /** All other attributes as they stand in the line, also those that this version does not know. */
  readonly attrs: Readonly<Record<string, string>>
  /** The same, read by the table; undefined for a kind that is not in it, and without an attribute that it must have. */
  readonly known: Known | undefined
}

const readers = new Map(Object.entries(events).map(([kind, shape]) => [kind, field.lenient(shape)] as const))
const seqOf = field.lenient({ seq: field.optional(field.integer(0, Number.MAX_SAFE_INTEGER), 0) })

/**
 * Reads one line of `events`.
 * @returns undefined for a line that is not an event: an empty one, or `lost=N`
 * @throws Unfit for a line that is too long, and for one that is not a record
 */
export function parseEvent(line: string): Event | undefined {
  const [event] = records(line, 'events', { characters: MAX_EVENT, count: 1 })
  if (event?.attrs.kind === undefined) return undefined
  const { seq: _, time = '', kind, ...attrs } = event.attrs
  const read = readers.get(kind)
  const [known] = read ? fit(read, attrs, kind) : []
  return {
    ...seqOf(event.attrs, 'events'),
    time,
    kind,
    attrs,
    known: known && ({ kind, ...known } as Known),
  }
}
