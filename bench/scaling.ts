/** Draws docs/scaling.svg. */

import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { type Change, example, type Moment } from '../test/cluster/orchestrator/scaling-example.js'

const WIDTH = 760
const LEFT = 60
const RIGHT = 20
/** Top and height of the two diagrams. */
const USED = { top: 40, height: 130 }
const WORKERS = { top: 215, height: 130 }

const n = (value: number) => String(Math.round(value * 10) / 10)

/** Draws the number of workers and their utilisation over the time of a replay, as SVG. */
export function picture({ moments, changes }: { moments: readonly Moment[]; changes: readonly Change[] }): string {
  const end = moments.at(-1)!.time
  const x = (time: number) => LEFT + (time / end) * (WIDTH - LEFT - RIGHT)
  const scale =
    ({ top, height }: typeof USED, most: number) =>
    (value: number) =>
      top + height * (1 - value / most)
  const used = scale(USED, 1)
  const workers = scale(WORKERS, 700)
  const path = (y: (moment: Moment) => number) =>
    moments.map((moment, i) => `${i ? 'L' : 'M'}${n(x(moment.time))} ${n(y(moment))}`).join('')
  const text = (at: number, y: number, words: string, more = '') =>
    `<text x="${n(at)}" y="${n(y)}"${more}>${words}</text>`
  const line = (x1: number, y1: number, x2: number, y2: number, kind: string) =>
    `<line x1="${n(x1)}" y1="${n(y1)}" x2="${n(x2)}" y2="${n(y2)}" class="${kind}"/>`
  const level = (y: number, words: string, kind = 'grid') => [
    line(LEFT, y, WIDTH - RIGHT, y, kind),
    text(LEFT - 8, y + 4, words, ' text-anchor="end"'),
  ]
  const seconds = Array.from({ length: Math.floor(end / 60) + 1 }, (_, i) => i * 60)
  const height = WORKERS.top + WORKERS.height + 40
  return `${[
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}">`,
    '<style>text{font:12px sans-serif;fill:#555}.grid{stroke:#ddd}.bound{stroke:#c60;stroke-dasharray:4 3}',
    '.change{stroke:#999;stroke-dasharray:2 2}path{fill:none;stroke-width:2}</style>',
    `<rect width="${WIDTH}" height="${height}" fill="#fff"/>`,
    text(LEFT, USED.top - 16, 'slots in use, and where workers come (0.8) and go (0.2)'),
    ...[0, 0.5, 1].flatMap(value => level(used(value), String(value))),
    ...[0.2, 0.8].flatMap(value => level(used(value), String(value), 'bound')),
    text(LEFT, WORKERS.top - 16, 'workers: there, and ready'),
    ...[0, 200, 400, 600].flatMap(value => level(workers(value), String(value))),
    ...seconds.map(time => text(x(time), height - 18, `${time} s`, ' text-anchor="middle"')),
    ...changes.flatMap(({ time, attrs: { add, remove } }) => [
      line(x(time), USED.top, x(time), WORKERS.top + WORKERS.height, 'change'),
      text(x(time) + 5, WORKERS.top + 12, add === undefined ? `-${remove}` : `+${add}`),
    ]),
    `<path d="${path(({ utilisation }) => used(utilisation))}" stroke="#06c"/>`,
    `<path d="${path(({ ready, starting }) => workers(ready + starting))}" stroke="#9c9"/>`,
    `<path d="${path(({ ready }) => workers(ready))}" stroke="#282"/>`,
    '</svg>',
  ].join('\n')}\n`
}

// node dist/bench/scaling.js draws docs/scaling.svg
if (process.argv[1] === fileURLToPath(import.meta.url))
  writeFileSync(fileURLToPath(new URL('../../docs/scaling.svg', import.meta.url)), picture(await example()))
