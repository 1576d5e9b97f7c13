/** One run of the simulation: a cluster, users and faults that are drawn from a seed. */
import type { ErrorCode } from '../../api/errors.js'
import { Wrong } from './check.js'
import { Process, Timeline } from './clock.js'
import { Cluster, DOOR, type Shape } from './cluster.js'
import { type Fault, type FaultName, faults, LOST } from './faults.js'
import { User } from './load.js'
import { Net } from './net.js'
import { Observer } from './observer.js'
import { Random } from './random.js'
import { type Request, Requests } from './requests.js'

/**
 * Virtual times of a run, in ms: when the users begin; when the last fault has begun and all faults end; how long the
 * users may take to end their requests.
 */
const BEGIN = 5_000
const HEAL = 42_000
const END = 50_000
/** How long after that all requests must have ended, in virtual ms. */
const PATIENCE = 150_000
/**
 * How long until all workers must be back: a host's longest pause after crashes, the longest quarantine, and joining
 * again.
 */
const RECOVERY = 400_000
/** How long the loss of a worker is felt: it hangs, it is paused, or its host waits before it starts it again. */
const AFTERMATH = 60_000
/**
 * How long until nothing must be left of clients that have gone. An answer that was moved from a worker whose engine
 * hangs runs there until the process is ended, because the answer does not stop for 30 s.
 */
const LEAVING = 40_000

export interface Options {
  /** The number of workers in all; drawn if omitted. */
  workers?: number
  /** The faults to draw from; all if omitted. */
  only?: readonly FaultName[]
  /** The drawn faults and users, by number, to leave out: everything else stays as it was drawn. */
  without?: { faults: readonly number[]; users: readonly number[] }
}

/** The result of a seed. */
export interface Report {
  seed: string
  /** What was wrong; undefined if nothing was. */
  error: unknown
  /** A hash of everything that happened: the same seed has the same. */
  hash: number
  events: number
  /** How many virtual ms it took. */
  time: number
  /** What happened, a line for each event, with the virtual time in s. */
  story: string[]
  requests: readonly Request[]
  /** How many faults and users were drawn. */
  drawn: { faults: number; users: number }
  /** How many times an answer was seen to go on where it had broken off. */
  moves: number
  /** How many faults struck, by kind. */
  struck: Partial<Record<FaultName, number>>
}

function draw(random: Random, workers = random.whole(3, 12)): Shape {
  const machines = Array.from({ length: random.whole(1, Math.min(4, workers)) }, () => 1)
  for (let i = machines.length; i < workers; i++) machines[random.whole(0, machines.length - 1)]!++
  return {
    machines,
    slots: random.of([1, 1, 2, 3, 4]),
    temper: {
      rate: random.of([5, 20, 20, 50, 200]),
      first_token_ms: random.of([0, 10, 100, 800]),
      load_ms: random.whole(0, 3000),
    },
  }
}

/** Runs one seed. @param begins called with the timeline that runs now */
export async function simulate(
  seed: string,
  options: Options = {},
  begins: (time: Timeline, date: () => number) => void = () => undefined,
): Promise<Report> {
  const random = new Random(seed)
  const time = new Timeline()
  const epoch = new Process(time, 'wall', 'wall')
  begins(time, () => epoch.date())
  const story: string[] = []
  const note = (line: string) => {
    time.mix(line)
    story.push(`${(time.now / 1000).toFixed(3)} ${line}`)
  }
  const report: Report = {
    seed,
    error: undefined,
    hash: 0,
    events: 0,
    time: 0,
    story,
    requests: [],
    drawn: { faults: 0, users: 0 },
    moves: 0,
    struck: {},
  }
  try {
    await run(time, random, options, note, report)
  } catch (error) {
    report.error = error
    note(`WRONG: ${error instanceof Error ? (error.stack ?? error.message) : error}`)
  }
  return Object.assign(report, { hash: time.hash >>> 0, events: time.events, time: time.now })
}

async function run(
  time: Timeline,
  random: Random,
  options: Options,
  note: (line: string) => void,
  report: Report,
): Promise<void> {
  const shape = draw(random.stream('shape'), options.workers)
  note(`shape ${JSON.stringify(shape)}`)
  const net = new Net(time, random.stream('net'))
  const cluster = new Cluster(time, net, random.stream('cluster'), shape, note)

  /** The errors that an exchange may end in, because of the faults that have struck. */
  const may = new Set<ErrorCode>()
  const losses: { time: number; workers: number }[] = []
  const requests = new Requests((error, { began, prompt }) => {
    if (![...may].some(row => error.is(row))) return false
    // an answer that was being made when the orchestrator was killed must be found again, if nothing else was lost
    if (error.is('notFound') && prompt !== undefined && cluster.orphans.has(prompt)) return losses.length > 1
    if (!LOST.some(row => error.is(row)) || may.has('queueFull')) return true
    const lost = losses.filter(({ time }) => time > began - AFTERMATH).reduce((n, { workers }) => n + workers, 0)
    return lost > 1
  }, note)
  report.requests = requests.all

  const observer = new Observer(cluster, new Process(time, 'observer', 'observatory'))
  cluster.command = line => observer.command(line)
  cluster.names = () => observer.workers.map(({ name }) => name!)
  observer.start()
  // either the defaults, one more try and one move, which survive one loss; or enough for many
  if (random.stream('retry').chance(0.3)) observer.command('retry tries 5 resumes 20')

  // the faults of a run are of a few kinds, so that each kind is often seen alone
  const plan = random.stream('faults')
  const names = options.only ?? (Object.keys(faults) as FaultName[])
  const kinds = Array.from({ length: plan.whole(0, 4) }, () =>
    plan.weighted(Object.fromEntries(names.map(name => [name, faults[name].weight])) as Record<FaultName, number>),
  )
  report.drawn.faults = kinds.length > 0 ? plan.whole(1, 12) : 0
  for (let i = 0; i < report.drawn.faults; i++) {
    const kind = plan.of(kinds)
    const at = plan.between(BEGIN, HEAL)
    if (options.without?.faults.includes(i)) continue
    const fault: Fault = faults[kind]
    const strike = () => {
      for (const row of fault.may) may.add(row)
      const what = fault.strike(cluster, plan.stream(`${i}`))
      if (!what) return
      if (fault.losses) {
        losses.push({ time: time.now, workers: fault.losses })
        cluster.calm = false
      }
      report.struck[kind] = (report.struck[kind] ?? 0) + 1
      note(`FAULT ${i} ${kind}: ${what}`)
    }
    const soon = (tries: number) => {
      if (!fault.busy || tries === 0 || cluster.workers.some(({ generating }) => generating > 0)) strike()
      else time.at(time.now + 20, () => soon(tries - 1))
    }
    time.at(at, () => soon(100))
  }

  const longest = random.of([5, 5, 15, 15, 40])
  const times = random.whole(2, 8)
  report.drawn.users = random.whole(2, 6)
  const user = (name: string, uid: number) =>
    new User(
      { net, random: random.stream(name), requests, door: DOOR, longest, note },
      cluster.process(name, 'clients'),
      uid,
    )
  const users = Array.from({ length: report.drawn.users }, (_, i) => user(`user${i}`, 2000 + i)).filter(
    (_, i) => !options.without?.users.includes(i),
  )
  let crowds = 0
  cluster.crowd = n => {
    for (let i = 0; i < n; i++) users.push(user(`crowd${++crowds}`, 4000 + crowds))
    for (const one of users.slice(-n)) one.data().catch(error => time.fail(error))
  }

  await time.run(BEGIN)
  const ends = users.map(user => user.use(times, HEAL))
  Promise.all(ends).catch(error => time.fail(error))
  await time.run(HEAL)
  cluster.heal()
  note('all faults have ended')
  await time.run(END)

  await ended(time, requests)
  await until(time, RECOVERY, 5_000, 'not all workers are back', () => observer.missing())
  // from now on no fault excuses an error
  may.clear()
  const last = user('last', 3000)
  Promise.all([last.data(), last.generate(), last.session()]).catch(error => time.fail(error))
  await ended(time, requests)

  for (const user of [...users, last]) user.close()
  await until(time, LEAVING, 700, 'when all have gone', () => observer.left())
  report.moves = requests.moves
}

/** Lets time pass until every request has ended. */
function ended(time: Timeline, requests: Requests): Promise<void> {
  return until(time, PATIENCE, 1_000, 'without an end', () => {
    const open = requests.open.map(({ id, kind }) => `request ${id} ${kind}`)
    return open.length > 0 ? open.join(', ') : undefined
  })
}

/** Lets time pass, a step at a time, until nothing is wrong any more. @throws Wrong if that takes too long */
async function until(time: Timeline, ms: number, step: number, what: string, wrong: () => string | undefined) {
  const end = time.now + ms
  for (let why = wrong(); why !== undefined; why = wrong()) {
    if (time.now > end) throw new Wrong(`${what}: ${why}`)
    await time.run(time.now + step)
  }
}
