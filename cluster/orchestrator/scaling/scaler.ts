/** Adds and removes workers by how many of their slots are in use. */

import { fail } from '../../../api/errors.js'
import type { Tell } from '../../../api/events.js'
import { type Cancel, type Clock, every } from '../../../fs/base/clock.js'
import { quote } from '../../../fs/base/quote.js'
import type { Verb } from '../../../fs/kit/ctl.js'
import { word1 } from '../../../fs/kit/ctl.js'
import { noSuch, oneOf } from '../../choices.js'
import { number } from '../../root/settings.js'

/** How often the number of workers is checked, in ms. */
const POLL_MS = 3_000
/** Checks in a row that must agree: a single one may have met a burst. */
const POLLS = 2
/** The longest pause after a failed spawn, in ms. */
const LONGEST_PAUSE_MS = 300_000
/** Most workers of a cluster. */
const MOST = 10_000

/** The settings of `scale` (docs/cluster.md, Scaling). */
export interface ScaleSettings {
  /** The least and the greatest number of workers. */
  min: number
  max: number
  /** The shares of the slots in use above which workers are added, and below which they are removed. */
  up: number
  down: number
  /** How many workers are added at once; how many are removed at once, where 0 means `step`. */
  step: number
  shrink: number
  /** The least time between two changes, in s. */
  cooldown: number
  /**
   * The class that is spawned. Empty: the class of the model with the longest queue, or else the first class there is.
   */
  class: string
}

export const scaleDefaults: ScaleSettings = {
  min: 1,
  max: 8,
  up: 0.8,
  down: 0.2,
  step: 2,
  shrink: 0,
  cooldown: 30,
  class: '',
}

/** The workers that a Scaler adds to and removes from. */
export interface Scalable {
  /** The share of the slots of all ready workers that is in use, 0 to 1; undefined if there are no slots. */
  utilisation(): number | undefined
  /**
   * Workers running, starting, or backing off. Counting the latter prevents replacing crashing workers without limit.
   */
  count(): number
  /** How many of those are not ready yet: they will take their share of the load. */
  starting(): number
  /** The classes that hosts can spawn. */
  classes(): readonly string[]
  /** The class of the workers whose model has the longest queue; undefined if no request that waits names a model. */
  wanted(): string | undefined
  spawn(kind: string, n: number): Promise<void>
  /** Drains and ends the n least busy workers. */
  retire(n: number): Promise<void>
  /** Logs an event. */
  told: Tell
}

export class Scaler {
  settings: ScaleSettings = { ...scaleDefaults }
  #on = false
  #cancel: Cancel
  /** Which way the last checks pointed, and how many in a row did. */
  #way: 'up' | 'down' | undefined
  #looks = 0
  /** Until when, by the clock, nothing is changed. */
  #rest = 0
  /** Failed spawns in a row. */
  #failures = 0
  #busy = false

  constructor(
    readonly clock: Clock,
    readonly of: Scalable,
  ) {
    this.#cancel = every(clock, POLL_MS, () => this.poll())
  }

  get on(): boolean {
    return this.#on
  }

  set on(on: boolean) {
    if (on !== this.#on) this.of.told('autoscale', { on })
    this.#on = on
    this.#looks = 0
    this.#failures = 0
    this.#rest = 0
  }

  close(): void {
    this.#cancel()
  }

  /** Checks whether there are too few workers or too many, and begins to change that. The clock calls it. */
  poll(): void {
    if (!this.#on || this.#busy) return
    const { change, why } = this.#wish()
    const way = change > 0 ? 'up' : change < 0 ? 'down' : undefined
    this.#looks = way === this.#way ? this.#looks + 1 : 1
    this.#way = way
    if (!way || this.#looks < POLLS || this.clock.now() < this.#rest) return
    this.#busy = true
    const done = way === 'up' ? this.#grow(change, why) : this.#shrink(-change, why)
    void done.finally(() => {
      this.#busy = false
      this.#looks = 0
    })
  }

  /** How many workers should be added (below 0: removed), and why. */
  #wish(): { change: number; why: string } {
    const { min, max, up, down, step, shrink } = this.settings
    const count = this.of.count()
    if (count < min) return { change: min - count, why: `${count} workers, min ${min}` }
    if (count > max) return { change: max - count, why: `${count} workers, max ${max}` }
    const used = this.of.utilisation()
    if (used === undefined) return { change: 0, why: '' }
    const shown = Number(used.toFixed(3))
    const shared = (used * (count - this.of.starting())) / count
    if (shared > up) return { change: Math.min(step, max - count), why: `utilisation ${shown} over ${up}` }
    // the workers that stay must not be too few for the load right away
    const enough = Math.max(min, Math.ceil((used * count) / up))
    if (used < down)
      return {
        change: Math.min(0, Math.max(-(shrink || step), enough - count)),
        why: `utilisation ${shown} under ${down}`,
      }
    return { change: 0, why: '' }
  }

  async #grow(wish: number, why: string): Promise<void> {
    const kind = this.settings.class || (this.of.wanted() ?? this.of.classes()[0])
    // workers that did not fit all together may fit in part
    const n = Math.ceil(wish / 2 ** this.#failures)
    const workers = this.of.count()
    try {
      if (kind === undefined) throw new Error('no host has joined; add one with llamboctl join')
      await this.of.spawn(kind, n)
      this.of.told('scale-up', { workers, add: n, class: kind, why })
      this.#failures = 0
      this.#rested(this.settings.cooldown * 1000)
    } catch (error) {
      const pause = Math.min(Math.max(this.settings.cooldown * 1000, POLL_MS) * 2 ** this.#failures++, LONGEST_PAUSE_MS)
      this.#rested(pause)
      this.of.told('scale-failed', { add: n, class: kind, error: (error as Error).message, wait_s: pause / 1000 })
    }
  }

  async #shrink(n: number, why: string): Promise<void> {
    this.of.told('scale-down', { workers: this.of.count(), remove: n, why })
    try {
      await this.of.retire(n)
    } catch (error) {
      this.of.told('scale-failed', { remove: n, error: (error as Error).message, wait_s: this.settings.cooldown })
    }
    this.#rested(this.settings.cooldown * 1000)
  }

  #rested(ms: number): void {
    this.#rest = this.clock.now() + ms
  }
}

type Numeric = Exclude<keyof ScaleSettings, 'class'>

const ranges: Record<Numeric, { low: number; high: number; whole: boolean }> = {
  min: { low: 1, high: MOST, whole: true },
  max: { low: 1, high: MOST, whole: true },
  up: { low: 0.01, high: 1, whole: false },
  down: { low: 0, high: 0.99, whole: false },
  step: { low: 1, high: MOST, whole: true },
  shrink: { low: 0, high: MOST, whole: true },
  cooldown: { low: 0, high: 86_400, whole: false },
}
const names = Object.keys(ranges) as Numeric[]

/**
 * The settings after `scale` with these arguments.
 * @throws FsError `bad argument` that names the values that contradict each other
 */
function scaled(before: ScaleSettings, args: readonly string[], classes: readonly string[]): ScaleSettings {
  const after = { ...before }
  const known = [...names, 'class'] as const
  if (args.length === 0 || args.length % 2)
    throw fail('badArgument', `scale: expected pairs of a name and a value; names: ${known.join(' ')}`)
  for (let i = 0; i < args.length; i += 2) {
    const [key, value = ''] = args.slice(i)
    const name = oneOf('scale', key, known)
    if (name !== 'class')
      after[name] = number(`scale ${name}`, value, ranges[name].low, ranges[name].high, ranges[name].whole)
    // before a host has joined the classes are not known
    else if (value !== '' && classes.length > 0 && !classes.includes(value)) throw noSuch('class', value, classes, '')
    else after.class = value
  }
  const { min, max, up, down } = after
  if (min > max) throw fail('badArgument', `scale: min ${min} is above max ${max}`)
  if (down >= up) throw fail('badArgument', `scale: down ${down} is not below up ${up}`)
  return after
}

/** The commands of a cluster's ctl for scaling. */
export function scalingVerbs(scaler: Scaler): Record<string, Verb> {
  return {
    autoscale: word1(
      'on|off',
      arg => oneOf('autoscale', arg, ['on', 'off']) === 'on',
      on => {
        scaler.on = on
      },
    ),
    scale: {
      usage: names
        .map(name => `[${name} N]`)
        .join(' ')
        .concat(' [class NAME]'),
      check(args) {
        const apply = () => scaled(scaler.settings, args, scaler.of.classes())
        apply()
        // computed again: earlier lines of the same write may have changed the settings by then
        return () => {
          scaler.settings = apply()
        }
      },
    },
  }
}

/** The commands that would restore these settings. */
export function scalingLines({ on, settings }: Scaler): string[] {
  const { class: kind, shrink, ...others } = settings
  const words = Object.entries(others).flatMap(([name, value]) => [name, String(value)])
  if (shrink) words.push('shrink', String(shrink))
  if (kind) words.push('class', quote(kind))
  return [`scale ${words.join(' ')}`, `autoscale ${on ? 'on' : 'off'}`]
}
