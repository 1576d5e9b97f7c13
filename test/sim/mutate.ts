/**
 * Checks that the simulation notices faults of the orchestrator: breaks a rule in a copy of the compiled code, and runs
 * seeds until one fails. Exits with 1 if a broken rule was not noticed.
 */
import { spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { keep } from '../report.js'
import { type Mutation, mutations } from './mutations.js'

/** How many seeds it may take to notice a broken rule. */
const SEEDS = Number(process.argv[2] ?? 2000)
/** Runs only the rules that contain this text. */
const ONLY = process.argv[3] ?? ''

const dist = fileURLToPath(new URL('../../', import.meta.url))

function unnoticed({ rule, file, from, to }: Mutation): boolean {
  const folder = mkdtempSync(join(tmpdir(), 'llambo-mutation-'))
  // laid out as a checkout is, so that the report of such a run stays there
  const copy = join(folder, 'dist')
  try {
    for (const part of ['fs', 'api', 'cluster', 'test/sim', 'test/report.js'])
      cpSync(join(dist, part), join(copy, part), { recursive: true })
    symlinkSync(join(dist, '../node_modules'), join(folder, 'node_modules'))
    writeFileSync(join(copy, 'package.json'), '{"type":"module"}')
    const path = join(copy, file)
    const text = readFileSync(path, 'utf8')
    if (text.split(from).length !== 2)
      throw new Error(`${file} has not this once, but ${text.split(from).length - 1} times: ${from}`)
    writeFileSync(
      path,
      text.replace(from, () => to),
    )
    const { stdout, stderr } = spawnSync(process.execPath, [join(copy, 'test/sim/main.js'), '--seeds', String(SEEDS)], {
      encoding: 'utf8',
      maxBuffer: 1e9,
    })
    if (!/^\d+ seeds, /m.test(stdout)) throw new Error(`the simulation did not run: ${stdout}${stderr}`)
    const seed = /^seed (\d+) fails/m.exec(stdout)?.[1]
    const wrong = /WRONG: (.*)/.exec(stdout)?.[1]
    console.log(`${rule}\n  ${seed ? `seed ${seed}: ${wrong}` : `NOT NOTICED within ${SEEDS} seeds`}`)
    return seed === undefined
  } finally {
    rmSync(folder, { recursive: true })
  }
}

const missed = mutations.filter(({ rule }) => rule.includes(ONLY)).filter(unnoticed).length
if (ONLY === '')
  keep('test:mutate', missed > 0, `${mutations.length} rules broken, ${missed} not noticed within ${SEEDS} seeds`)
process.exitCode = missed > 0 ? 1 : 0
