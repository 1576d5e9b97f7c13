import { loadavg } from 'node:os'

/** Rounds of each comparison; the median of as many ratios is what counts. */
export const ROUNDS = 7
/** How long one side of a round runs, in ms. */
const SLICE_MS = 400

/** One side of a comparison: runs once and says how much came of it. */
export type Side = () => Promise<number>

/** What was asked of a figure: at least, or at most. */
export interface Aim {
  least?: number
  most?: number
}

export interface Result {
  what: string
  unit: string
  ours: number
  theirs: number
  /** The median of the rounds' ours / theirs, or of ours - theirs where `difference`. */
  figure: number
  /** The smallest and the largest of them. */
  spread: [number, number]
  difference: boolean
  aim: Aim
  met: boolean
  load: number
  note?: string
}

/** What could not be measured here, and why. */
export interface Skipped {
  what: string
  skipped: string
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const half = sorted.length >> 1
  return sorted.length % 2 ? sorted[half]! : (sorted[half - 1]! + sorted[half]!) / 2
}

export interface Comparison {
  what: string
  unit: string
  aim: Aim
  ours: Side
  theirs: Side
  difference?: boolean
  rounds?: number
  note?: string
}

/** Two sides in turn, round after round, so that what else the machine does hits both; each goes first every other time. */
export async function compare(of: Comparison): Promise<Result> {
  const ours: number[] = []
  const theirs: number[] = []
  for (let round = 0; round < (of.rounds ?? ROUNDS); round++) {
    if (round % 2) theirs.push(await of.theirs())
    ours.push(await of.ours())
    if (round % 2 === 0) theirs.push(await of.theirs())
  }
  return summary(of, ours, theirs)
}

/** What came of rounds. */
export function summary(
  { what, unit, aim, difference = false, note }: Omit<Comparison, 'ours' | 'theirs'>,
  ours: readonly number[],
  theirs: readonly number[],
): Result {
  const figures = ours.map((a, i) => (difference ? a - theirs[i]! : a / theirs[i]!))
  const figure = median(figures)
  return {
    what,
    unit,
    ours: median(ours),
    theirs: median(theirs),
    figure,
    spread: [Math.min(...figures), Math.max(...figures)],
    difference,
    aim,
    met: figure >= (aim.least ?? -Infinity) && figure <= (aim.most ?? Infinity),
    load: loadavg()[0]!,
    ...(note !== undefined && { note }),
  }
}

/** Does something again and again, `lanes` of it at once, and says how often a second. */
export async function rate(lanes: number, once: () => Promise<unknown>): Promise<number> {
  let count = 0
  const started = performance.now()
  const end = started + SLICE_MS
  const lane = async () => {
    while (performance.now() < end) {
      await once()
      count++
    }
  }
  await Promise.all(Array.from({ length: lanes }, lane))
  return count / ((performance.now() - started) / 1000)
}

/** How long something takes, in ms. */
export async function time(run: () => Promise<unknown>): Promise<number> {
  const started = performance.now()
  await run()
  return performance.now() - started
}

/** Milliseconds as µs per one of `n`. */
export const micros = (ms: number, n: number): number => (ms * 1000) / n
