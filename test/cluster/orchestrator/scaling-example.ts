/** Replays of the scaler on virtual time, among them the one that docs/scaling.svg shows. */
import {
  type Scalable,
  Scaler,
  type ScaleSettings,
  scaleDefaults,
} from '../../../cluster/orchestrator/scaling/scaler.js'
import { TestClock } from '../clock.js'

/** How long a worker takes to start, and to drain, in s. */
const START_S = 12
const DRAIN_S = 6

/** A cluster at one moment of the replay. */
export interface Moment {
  /** In s. */
  readonly time: number
  /** Answers that are requested at once. */
  readonly demand: number
  readonly ready: number
  readonly starting: number
  /** 0 to 1. */
  readonly utilisation: number
}

export interface Change {
  readonly time: number
  readonly kind: string
  readonly attrs: Readonly<Record<string, unknown>>
}

/**
 * Replays a cluster of workers with one slot each on virtual time.
 * @param demand the number of answers that are requested at once, at a time in s
 */
export async function replay(
  settings: Partial<ScaleSettings>,
  workers: number,
  demand: (time: number) => number,
  seconds: number,
): Promise<{ moments: Moment[]; changes: Change[] }> {
  const clock = new TestClock()
  const cluster = { ready: workers, starting: 0 }
  const changes: Change[] = []
  const time = () => clock.now() / 1000
  const later = (s: number) => new Promise<void>(resolve => clock.after(s * 1000, resolve))
  const utilisation = () => Math.min(1, demand(time()) / cluster.ready)
  const of: Scalable = {
    utilisation,
    count: () => cluster.ready + cluster.starting,
    starting: () => cluster.starting,
    classes: () => ['tiny', 'medium', 'large'],
    wanted: () => undefined,
    async spawn(_kind, n) {
      cluster.starting += n
      void later(START_S).then(() => {
        cluster.starting -= n
        cluster.ready += n
      })
    },
    async retire(n) {
      await later(DRAIN_S)
      cluster.ready -= n
    },
    told: (kind, attrs = {}) => changes.push({ time: time(), kind, attrs }),
  }
  const scaler = new Scaler(clock, of)
  scaler.settings = { ...scaleDefaults, ...settings }
  scaler.on = true
  changes.length = 0
  const moments: Moment[] = []
  const look = () => moments.push({ time: time(), demand: demand(time()), ...cluster, utilisation: utilisation() })
  look()
  for (let at = 0; at < seconds; at++) {
    await clock.pass(1000)
    look()
  }
  scaler.close()
  return { moments, changes }
}

/**
 * The example of docs/cluster.md, Scaling: 100 workers are in use at 30 %; the load goes over 80 % and 500 workers are
 * added, which makes it 50 %; it falls under 20 % and 200 are removed. Those that remain are in use at 40 % when some
 * load has come back.
 */
export const example = () => replay({ min: 100, max: 1000, step: 500, shrink: 200 }, 100, demandOfExample, 300)

function demandOfExample(time: number): number {
  if (time < 30) return 30
  if (time < 90) return 30 + (time - 30) * 4.5
  if (time < 150) return 300
  if (time < 180) return 300 - ((time - 150) * 190) / 30
  if (time < 240) return 110
  return Math.min(160, 110 + (time - 240) * 2)
}
