import { fail } from '../../fs/errors.js'
import { parseRecords } from '../../fs/quote.js'

/** A model as a `status` has it. */
export interface ModelRecord {
  readonly name: string
  readonly type: string
  readonly size: number
  readonly loaded: boolean
  /** `sha256:…`; empty where there is none, or none yet. */
  readonly digest: string
  readonly context: number
  /** Why it cannot be loaded. */
  readonly problem?: string
  /** What a person should know of it as it is loaded, such as that it could hold more. */
  readonly note?: string
}

/** An exchange that came through a cluster, and whose reader there is gone. */
export interface OrphanRecord {
  readonly id: string
  readonly cluster: string
  readonly task: string
  readonly attempt: number
  readonly user: string
  readonly uid: number
}

/** A worker that a host supervises, and a class of which it can spawn some. */
export interface SupervisedRecord {
  readonly id: string
  readonly state: string
}
export interface ClassRecord {
  readonly name: string
  readonly model: string
}

/** What a worker, a cluster or a host says of itself: the capability record and what follows it (namespace.md, status). */
export interface Report {
  readonly name: string
  readonly kind: 'worker' | 'cluster' | 'host'
  readonly id: string
  readonly boot: string
  readonly version: string
  readonly host: string
  /** Of the host that supervises it; empty where none does. */
  readonly host_id: string
  readonly class: string
  readonly state: string
  readonly slots: number
  readonly active: number
  readonly queue: number
  /** Answers that were told to stop long ago, and run on. */
  readonly stuck: number
  readonly tok_s: number
  /** How long an answer of it may bring nothing, in s, where its text is made by a server elsewhere; 0: it makes it itself. */
  readonly patience_s: number
  /** Of those that could answer, the ones with the highest go first. */
  readonly prefer: number
  readonly latency_ms: number
  readonly mem_total: number
  readonly mem_free: number
  readonly cpu: string
  readonly gpu: string
  readonly gpu_mem: number
  /** The model that is being loaded, and how much of it is done, 0 to 1. */
  readonly loading: string
  readonly progress: number
  /** Why it holds no model, where it should. */
  readonly error?: string
  /** The ids of all clusters at and below it. */
  readonly clusters: readonly string[]
  readonly models: readonly ModelRecord[]
  readonly orphans: readonly OrphanRecord[]
  /** Of a host. */
  readonly workers: readonly SupervisedRecord[]
  readonly classes: readonly ClassRecord[]
}

const kinds = ['worker', 'cluster', 'host'] as const

/** Most slots one worker may claim: routing adds them up. */
const MAX_SLOTS = 1_000_000

/**
 * Reads a `status`.
 * @throws FsError `bad message` that names what is missing or cannot be: who says nonsense of himself is not let in
 */
export function parseReport(text: string): Report {
  const bad = (what: string) => fail('badMessage', `status: ${what}`)
  let records: ReturnType<typeof parseRecords>
  try {
    records = parseRecords(text)
  } catch (error) {
    throw bad((error as Error).message)
  }
  const [first, ...rest] = records
  if (first?.word !== 'server') throw bad('it does not begin with a server record')
  const { attrs } = first
  const kind = kinds.find(kind => kind === attrs.kind)
  if (!kind) throw bad(`kind ${attrs.kind}: one of ${kinds.join(' ')}`)
  const number = (name: string, most = Number.MAX_SAFE_INTEGER): number => {
    const n = Number(attrs[name] ?? 0)
    if (!Number.isFinite(n) || n < 0 || n > most) throw bad(`${name}=${attrs[name]}`)
    return n
  }
  const id = attrs.id ?? ''
  if (!/^[A-Za-z0-9-]{1,64}$/.test(id)) throw bad(`id=${attrs.id}`)
  const of = (word: string) => rest.filter(record => record.word === word).map(record => record.attrs)
  return {
    name: attrs.name ?? '',
    kind,
    id,
    boot: attrs.boot ?? '',
    version: attrs.version ?? '',
    host: attrs.host ?? '',
    host_id: attrs.host_id ?? '',
    class: attrs.class ?? '',
    state: attrs.state ?? '',
    slots: number('slots', MAX_SLOTS),
    active: number('active', MAX_SLOTS),
    queue: number('queue'),
    stuck: number('stuck'),
    tok_s: number('tok_s'),
    patience_s: number('patience_s', 86_400),
    prefer: number('prefer', 100),
    latency_ms: number('latency_ms'),
    mem_total: number('mem_total'),
    mem_free: number('mem_free'),
    cpu: attrs.cpu ?? '',
    gpu: attrs.gpu ?? 'none',
    gpu_mem: number('gpu_mem'),
    loading: attrs.loading ?? '',
    progress: number('progress', 1),
    ...(attrs.error !== undefined && { error: attrs.error }),
    clusters: (attrs.clusters ?? '').split(',').filter(Boolean),
    models: of('model').map(m => ({
      name: m.name ?? '',
      type: m.type ?? 'text',
      size: Number(m.size) || 0,
      loaded: m.loaded === 'yes',
      digest: m.digest ?? '',
      context: Number(m.context) || 0,
      ...(m.problem !== undefined && { problem: m.problem }),
      ...(m.note !== undefined && { note: m.note }),
    })),
    // a cluster's are its members, which concern nobody here
    workers: kind === 'host' ? of('worker').map(w => ({ id: w.id ?? '', state: w.state ?? '' })) : [],
    classes: of('class').map(c => ({ name: c.name ?? '', model: c.model ?? '' })),
    orphans: of('orphan').map(o => ({
      id: o.id ?? '',
      cluster: o.cluster ?? '',
      task: o.task ?? '',
      attempt: Number(o.attempt) || 0,
      user: o.user ?? '',
      uid: Number(o.uid) || 0,
    })),
  }
}
