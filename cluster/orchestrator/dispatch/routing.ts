/** Chooses the worker that a task runs on. */
import type { Request } from '../../../api/request.js'
import type { Task } from '../../root/task.js'
import { MAX_ATTEMPTS } from '../limits.js'
import type { Member } from '../members/member.js'
import type { Affinity } from './affinity.js'
import { Heap } from './heap.js'

/** Free memory, rounded to steps of about a quarter, so that small fluctuations do not decide. */
const memory = (member: Member) => Math.floor(Math.log2(1 + member.report.mem_free) * 3)

/** A quarantined worker comes last, whatever its `prefer` is. */
const preferred = ({ quarantined, report }: Member) => (quarantined ? 1 : -report.prefer)

/** A task, as far as the choice of its worker depends on it. */
export type Routed = Pick<Task, 'request' | 'session' | 'user'>

interface Rule {
  /** What is compared, in order: each score decides where those before it are equal. Less is better. */
  readonly order: readonly ((member: Member) => number)[]
  /** Chooses among the best by the first score, where the others do not decide. */
  readonly pick?: (best: readonly Member[], task: Routed, random: () => number) => Member
}

const rules = {
  specialise: { order: [preferred, m => m.load, m => -memory(m), m => m.lastUsed] },
  'least-loaded': { order: [preferred, m => m.active, m => m.lastUsed] },
  'round-robin': { order: [preferred, m => m.lastUsed] },
  random: { order: [preferred], pick: (best, _, random) => best[Math.floor(random() * best.length)]! },
} satisfies Record<string, Rule>

export type Strategy = keyof typeof rules
export const strategies = Object.keys(rules) as Strategy[]

/** The pool of workers with a `prefer`, and the pool of those among them that are quarantined. */
const PREFERRED = 'preferred'
const QUARANTINED = 'preferred but quarantined'

/** Candidates that a trace names. */
const NAMED = 5

/** The worker that was chosen, and why. */
export interface Choice {
  readonly member: Member
  readonly why: string
  readonly candidates: number
  /** `NAME:ACTIVE/SLOTS` of the chosen worker and some others. */
  readonly scores: string
}

/**
 * Keeps the workers with a free slot in pools, one for each thing that a request may ask for (a model's name, its type,
 * its digest). A pool is a heap in the order of the strategy, so that a choice costs the same among ten workers and ten
 * thousand.
 */
export class Routing {
  #strategy: Strategy = 'specialise'
  #pools = new Map<string, Heap<Member>>()
  /** By member, the keys of the pools that it is in. */
  readonly #places = new Map<Member, string[]>()
  /** By serving member, its slots; and their sum. */
  readonly #slots = new Map<Member, number>()
  #all = 0
  #uses = 0

  constructor(
    readonly random: () => number,
    readonly affinity: Affinity<Member>,
    /** Whether a serving member may be chosen now, as far as quarantine and pauses go. */
    readonly allowed: (member: Member) => boolean,
  ) {}

  get strategy(): Strategy {
    return this.#strategy
  }

  set strategy(strategy: Strategy) {
    this.#strategy = strategy
    const members = [...this.#places.keys()]
    this.#pools.clear()
    this.#places.clear()
    for (const member of members) this.update(member)
  }

  /** The slots of all serving members. */
  get slots(): number {
    return this.#all
  }

  /** Whether any worker has a free slot. */
  get free(): boolean {
    return (this.#pools.get('')?.items.length ?? 0) > 0
  }

  /** Updates the pools after a member has changed. */
  update(member: Member): void {
    const slots = member.serving ? member.report.slots : 0
    this.#all += slots - (this.#slots.get(member) ?? 0)
    if (slots) this.#slots.set(member, slots)
    else this.#slots.delete(member)
    const open =
      member.serving &&
      member.model !== undefined &&
      !member.alone &&
      member.active < member.report.slots &&
      member.running < MAX_ATTEMPTS &&
      this.allowed(member)
    const keys = open ? keysOf(member) : []
    const before = this.#places.get(member) ?? []
    for (const key of before) if (!keys.includes(key)) this.#pools.get(key)?.delete(member)
    for (const key of keys) this.#pool(key).put(member)
    if (keys.length) this.#places.set(member, keys)
    else this.#places.delete(member)
  }

  /** The pools of workers that could answer a request, the ones that it prefers first. None of them is empty. */
  #candidates(request: Request, digest: string | undefined, plain: string | undefined): Heap<Member>[] {
    const { model, type, model_hint } = request
    const some = (...keys: readonly (string | false | undefined)[]) =>
      keys.flatMap(key => {
        const pool = typeof key === 'string' ? this.#pools.get(key) : undefined
        return pool?.items.length ? [pool] : []
      })
    if (digest !== undefined) return some(`digest ${digest}`)
    if (model !== undefined) return some(`model ${model}`)
    const any = plain === undefined ? '' : `model ${plain}`
    const hint = model_hint !== undefined && `model ${model_hint}`
    return some(hint, type !== undefined && `type ${type}`, PREFERRED, any, QUARANTINED)
  }

  /**
   * Chooses the worker for a task.
   * @param o.digest of the model that must continue the answer
   * @param o.plain the model of requests that name none; undefined: any
   * @param o.avoid the id of the worker that the last attempt failed on: chosen only if there is no other
   * @param o.alone whether to prefer a worker that is idle
   * @returns undefined if no suitable worker has a free slot now
   */
  choose(
    task: Routed,
    o: { digest?: string | undefined; plain?: string | undefined; avoid?: string | undefined; alone?: boolean } = {},
  ): Choice | undefined {
    const { request, session } = task
    const pools = this.#candidates(request, o.digest, o.plain)
    // a preferred pool that has nothing but the worker that just failed is passed over
    const pool = pools.find(({ items }) => items.some(({ id }) => id !== o.avoid)) ?? pools[0]
    if (!pool) return undefined
    const { items } = pool
    let member = items[0]!
    const { pick }: Rule = rules[this.#strategy]
    if (pick) {
      const least = preferred(member)
      member = pick(
        items.filter(other => preferred(other) === least),
        task,
        this.random,
      )
    }
    let why: string = this.#strategy
    const warm = this.affinity.find(request, session)
    // a warm cache is not worth it where another worker has two tasks fewer
    const near = warm && warm.active - member.active < 2 && warm.report.prefer === member.report.prefer
    if (near && pool.has(warm)) {
      member = warm
      why = 'cache'
    }
    if (member.id === o.avoid && items.length > 1) {
      member = items.filter(other => other.id !== o.avoid).reduce((a, b) => (pool.before(b, a) ? b : a))
      why = 'elsewhere'
    }
    if (o.alone && member.active > 0) {
      const idle = items.find(other => other.active === 0 && other.id !== o.avoid)
      if (idle) {
        member = idle
        why = 'idle'
      }
    }
    const named = [member, ...items.slice(0, NAMED).filter(other => other !== member)]
    return {
      member,
      why,
      candidates: items.length,
      scores: named.map(m => `${m.name}:${m.active}/${m.report.slots}${m === warm ? ':warm' : ''}`).join(' '),
    }
  }

  /** Records that a member was chosen. */
  used(member: Member): void {
    member.lastUsed = ++this.#uses
  }

  #pool(key: string): Heap<Member> {
    let pool = this.#pools.get(key)
    if (!pool) {
      const by = rules[this.#strategy].order
      pool = new Heap<Member>((a, b) => {
        for (const score of by) {
          const difference = score(a) - score(b)
          if (difference !== 0) return difference < 0
        }
        return a.name < b.name
      })
      this.#pools.set(key, pool)
    }
    return pool
  }
}

/** The keys of the pools that a member belongs to: '' is the pool of all. */
function keysOf({ report, quarantined }: Member): string[] {
  const keys = new Set([''])
  if (report.prefer > 0) keys.add(quarantined ? QUARANTINED : PREFERRED)
  for (const model of report.models) {
    if (!model.loaded) continue
    keys.add(`model ${model.name}`)
    keys.add(`type ${model.type}`)
    if (model.digest) keys.add(`digest ${model.digest}`)
  }
  return [...keys]
}
