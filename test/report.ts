/** The reports of the long suites, in docs/reports/: the result of each, and on which commit. */

import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const checkout = fileURLToPath(new URL('../..', import.meta.url))

/**
 * The suites that `npm test` does not run: the name of each npm script, and the folders whose changes make its report
 * old.
 */
export const suites: Readonly<Record<string, readonly string[]>> = {
  'test:interop': ['fs', 'mnt', 'cluster', 'test/interop'],
  'test:faults': [
    'fs',
    'api',
    'mnt',
    'cluster',
    'cli',
    'ctl',
    'limbot',
    'dish',
    'test/faults',
    'test/memory',
    'test/rogue',
  ],
  'test:fuzz': ['fs', 'api', 'mnt', 'cluster', 'dish', 'limbot', 'test/fuzz'],
  'test:sim': ['fs', 'api', 'cluster', 'test/sim'],
  'test:mutate': ['cluster', 'test/sim'],
  bench: ['fs', 'mnt', 'cluster', 'cli', 'ctl', 'limbot', 'bench'],
  'bench:cluster': ['fs', 'cluster', 'bench/cluster'],
}

/** The result of a whole run of a suite. */
export interface Report {
  readonly suite: string
  /** The commit that the run saw; `changed` if the files differed from it. */
  readonly commit: string
  readonly changed: boolean
  readonly date: string
  readonly node: string
  /** Whether something failed. */
  readonly red: boolean
  /** One line: how much was run, and how much of it failed. */
  readonly summary: string
}

/** The output of git about this checkout; undefined if there is none (no git, no history). */
export function git(...args: string[]): string | undefined {
  const { status, stdout } = spawnSync('git', ['-C', checkout, ...args], { encoding: 'utf8' })
  return status === 0 ? stdout.trim() : undefined
}

const fileOf = (suite: string): string => join(checkout, 'docs/reports', `${suite.replace(':', '-')}.json`)

/** Saves the result of a whole run. The result of a part of a suite says nothing about the suite: do not save it. */
export function keep(suite: string, red: boolean, summary: string): void {
  const report: Report = {
    suite,
    commit: git('rev-parse', 'HEAD') ?? 'unknown',
    // files that a run itself writes do not count as changes
    changed: git('status', '--porcelain', '--', ':!docs', ':!test/fuzz/corpus', ':!test/fuzz/crashers') !== '',
    date: new Date().toISOString(),
    node: process.version,
    red,
    summary,
  }
  mkdirSync(join(checkout, 'docs/reports'), { recursive: true })
  writeFileSync(fileOf(suite), `${JSON.stringify(report, undefined, 2)}\n`)
}

/** The last report of a suite, if there is one. */
export function last(suite: string): Report | undefined {
  try {
    return JSON.parse(readFileSync(fileOf(suite), 'utf8')) as Report
  } catch {
    return undefined
  }
}
