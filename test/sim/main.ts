/** Runs the simulation with many seeds, in several processes: `npm run test:sim`. */
import { type ChildProcess, fork } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { keep } from '../report.js'
import { type FaultName, faults } from './faults.js'
import { guard } from './guard.js'
import { type Options, type Report, simulate } from './simulation.js'

/** One seed in this many has a thousand workers. */
const LARGE = 2_000
const LARGE_WORKERS = 1_000
/** How many lines are shown from the end of a story. Its faults are all shown. */
const STORY = 60

const { values } = parseArgs({
  options: {
    /** The first seed. */
    seed: { type: 'string', default: '1' },
    /** How many. */
    seeds: { type: 'string', default: '20000' },
    /** Begins no more seeds after this many seconds. */
    within: { type: 'string', default: 'Infinity' },
    /** The number of workers in each run. If omitted, it is drawn from 3 to 12. */
    workers: { type: 'string' },
    /** Only faults of these kinds, separated by commas. */
    faults: { type: 'string' },
    /** Prints each seed's whole story. */
    trace: { type: 'boolean', default: false },
    /** Runs each seed twice: both must be the same run. */
    twice: { type: 'boolean', default: false },
    /** Goes on after a seed that fails. */
    'keep-going': { type: 'boolean', default: false },
    jobs: { type: 'string', default: String(availableParallelism()) },
    child: { type: 'boolean', default: false },
  },
})

/** The result of a seed, as a child process reports it. */
interface Result {
  seed: number
  /** Processor time. */
  ms: number
  /** What was wrong, and the story of the smallest run that shows it. */
  wrong?: string
  outcomes: Record<string, number>
  struck: Record<string, number>
  moves: number
  events: number
}

const options = (seed: number): Options => ({
  ...(values.workers !== undefined
    ? { workers: Number(values.workers) }
    : seed % LARGE === 0 && { workers: LARGE_WORKERS }),
  ...(values.faults !== undefined && { only: values.faults.split(',') as FaultName[] }),
})

/** The part of a story to show: all of it with --trace; else what was drawn, all faults, and the end. */
const shown = ({ story }: Report): string =>
  values.trace
    ? story.join('\n')
    : story.filter((line, i) => i >= story.length - STORY || / (shape|FAULT|WRONG)/.test(line)).join('\n')

/** The beginning of an error, without numbers: a smaller run must fail with the same. */
const kind = (error: unknown) => String(error).replace(/\d+/g, '').slice(0, 40)

/** Leaves out faults and users one after the other, as long as the run still fails in the same way. */
async function smallest(report: Report, of: Options, begins: ReturnType<typeof guard>): Promise<Report> {
  let best = report
  const without: { faults: number[]; users: number[] } = { faults: [], users: [] }
  for (const what of ['faults', 'users'] as const)
    for (let i = 0; i < report.drawn[what]; i++) {
      without[what].push(i)
      const smaller = await simulate(report.seed, { ...of, without }, begins)
      if (smaller.error === undefined || kind(smaller.error) !== kind(report.error)) without[what].pop()
      else best = smaller
    }
  return best
}

async function child(): Promise<void> {
  const begins = guard()
  process.on('message', async (seed: number) => {
    const began = process.cpuUsage()
    const of = options(seed)
    const report = await simulate(String(seed), of, begins)
    const { user, system } = process.cpuUsage(began)
    const result: Result = {
      seed,
      ms: (user + system) / 1000,
      outcomes: {},
      struck: report.struck,
      moves: report.moves,
      events: report.events,
    }
    for (const { outcome = 'open' } of report.requests) {
      const row = outcome.replace(/\d+|: .*/g, '')
      result.outcomes[row] = (result.outcomes[row] ?? 0) + 1
    }
    if (report.error !== undefined) {
      const small = (of.workers ?? 0) > 100 ? report : await smallest(report, of, begins)
      result.wrong = shown(small)
    } else if (values.twice) {
      const again = await simulate(String(seed), of, begins)
      const at = report.story.findIndex((line, i) => again.story[i] !== line)
      if (again.hash !== report.hash)
        result.wrong = `the same seed was not the same run: ${report.story[at]} / ${again.story[at]}`
    }
    if (values.trace && result.wrong === undefined) console.log(shown(report))
    process.send!(result)
  })
  process.on('disconnect', () => process.exit())
  process.send!('ready')
}

async function parent(): Promise<number> {
  const first = Number(values.seed)
  const last = first + Number(values.seeds) - 1
  if (!Number.isSafeInteger(first) || !Number.isSafeInteger(last)) throw new Error('--seed and --seeds: whole numbers')
  for (const name of values.faults?.split(',') ?? [])
    if (!(name in faults)) throw new Error(`--faults ${name}: there are ${Object.keys(faults).join(' ')}`)
  let next = first
  let wrong = 0
  let done = 0
  const sum: Record<string, number> = {}
  const struck: Record<string, number> = {}
  const totals = { ms: 0, slowest: 0, moves: 0, events: 0 }
  const began = process.hrtime.bigint()
  const seconds = () => Number(process.hrtime.bigint() - began) / 1e9
  const take = ({ seed, ms, outcomes, struck: by, moves, events, wrong: what }: Result) => {
    done++
    totals.ms += ms
    totals.slowest = Math.max(totals.slowest, ms)
    totals.moves += moves
    totals.events += events
    for (const [row, n] of Object.entries(outcomes)) sum[row] = (sum[row] ?? 0) + n
    for (const [kind, n] of Object.entries(by)) struck[kind] = (struck[kind] ?? 0) + n
    if (what !== undefined) {
      wrong++
      const same = (['workers', 'faults'] as const).map(name => (values[name] ? ` --${name} ${values[name]}` : ''))
      console.log(
        `\nseed ${seed} fails; again: npm run test:sim -- --seed ${seed} --seeds 1 --trace${same.join('')}\n${what}\n`,
      )
      if (!values['keep-going']) next = last + 1
    }
  }
  const one = (job: ChildProcess) =>
    new Promise<void>((resolve, reject) => {
      let busy: number | undefined
      const go = () => {
        const late = seconds() > Number(values.within)
        busy = next <= last && !late ? next++ : undefined
        if (busy === undefined) job.disconnect()
        else job.send(busy)
      }
      job.on('message', (message: Result | 'ready') => {
        if (message !== 'ready') take(message)
        go()
      })
      job.on('exit', (code, signal) => {
        if (busy === undefined) resolve()
        else reject(new Error(`seed ${busy} ended its process: ${code ?? signal}`))
      })
    })
  const jobs = Array.from({ length: Math.min(Number(values.jobs), last - first + 1) }, () =>
    fork(fileURLToPath(import.meta.url), [...process.argv.slice(2), '--child'], { execArgv: ['--enable-source-maps'] }),
  )
  await Promise.all(jobs.map(one))
  const all = Object.values(sum).reduce((a, b) => a + b, 0)
  console.log(
    `${done} seeds, ${wrong} wrong, in ${seconds().toFixed(1)} s; ${(totals.ms / done).toFixed(0)} ms of processor time each, at most ${totals.slowest.toFixed(0)}; ` +
      `${totals.events} events, ${all} requests, ${totals.moves} moves in the middle of an answer`,
  )
  for (const [row, n] of Object.entries(sum).sort((a, b) => b[1] - a[1])) console.log(`  ${n} ${row}`)
  console.log(
    `  faults: ${Object.entries(struck)
      .map(([kind, n]) => `${kind} ${n}`)
      .join(', ')}`,
  )
  // a few seeds, or as many as a time limit allows, prove little, and npm test runs those: only a whole run is reported
  const whole = values.workers === undefined && values.faults === undefined && last - first >= 999
  if (whole && values.within === 'Infinity')
    keep('test:sim', wrong > 0, `${done} seeds from ${first} on, ${wrong} wrong`)
  return wrong === 0 ? 0 : 1
}

if (values.child) await child()
else process.exitCode = await parent()
