/** Measures two sides in turn and compares them. */

import { loadavg } from 'node:os'

/** How many rounds a comparison has. Its figure is the median of their ratios. */
export const ROUNDS = 7
/** How long one side of a round runs, in ms. */
const SLICE_MS = 400

/** One side of a comparison: runs once and returns a figure. */
export type Side = () => Promise<number>

/** The target of a figure: at least, or at most. */
export interface Aim {
  least?: number
  most?: number
}

export interface Result {
  what: string
  unit: string
  ours: number
  theirs: number
  /** The median of the rounds' ours / theirs, or of ours - theirs if `difference`. */
  figure: number
  /** The smallest and the largest of the rounds' figures. */
  spread: [number, number]
  difference: boolean
  aim: Aim
  met: boolean
  load: number
  note?: string
}

/** A row that could not be measured here, and why. */
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

/**
 * Runs two sides in turn, round after round, so that other load on the machine affects both. The sides take turns in
 * going first.
 */
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

/** The result of all rounds. */
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

/** Repeats something, `lanes` of it at once. Returns how often a second it was done. */
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

/** Converts the ms that `n` operations took to µs for one operation. */
export const micros = (ms: number, n: number): number => (ms * 1000) / n
