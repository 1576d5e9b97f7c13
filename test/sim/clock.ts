/** Virtual time, and the processes that live in it. */
import type { Cancel, Clock } from '../../fs/base/clock.js'

/** The day on which every simulation begins, in ms since 1970. */
const EPOCH = Date.UTC(2026, 0, 1)
/** The longest delay of setTimeout, in ms. It makes 1 ms of longer delays, and of those below 1 ms. */
const LONGEST = 2 ** 31 - 1
/** Events that run before Node looks for anything else from the real machine. */
const TURNS = 64

/** The real setImmediate, taken before the guard replaces it. It moves the simulation itself on. */
const turn = setImmediate

interface Event {
  readonly time: number
  readonly order: number
  run: (() => void) | undefined
}

/**
 * Virtual time: a queue of events, from one of which time jumps to the next. Everything that an event causes (promises
 * that resolve, and the code that waits for them) has come to rest before the next event, so that a run depends on
 * nothing but its seed.
 */
export class Timeline {
  /** Virtual ms since the beginning. */
  now = 0
  /** Events that have happened. */
  events = 0
  /** A hash of what ran, in order and with its times: two runs with the same hash were the same. */
  hash = 0x811c9dc5
  readonly #heap: Event[] = []
  #order = 0
  #failure: { error: unknown } | undefined

  /** Calls `run` once, at this time. Of several calls at the same time the first one requested comes first. */
  at(time: number, run: () => void): Cancel {
    const event: Event = { time: Math.max(time, this.now), order: this.#order++, run }
    this.#push(event)
    return () => {
      event.run = undefined
    }
  }

  /** Mixes a value into the hash. */
  mix(value: number | string): void {
    if (typeof value === 'number') this.hash = Math.imul(this.hash ^ (value | 0), 0x01000193)
    else for (let i = 0; i < value.length; i++) this.hash = Math.imul(this.hash ^ value.charCodeAt(i), 0x01000193)
  }

  /** Ends `run` with this error at the next event. */
  fail(error: unknown): void {
    this.#failure ??= { error }
  }

  /** Lets time pass until this time. @throws what an event threw, or the error that `fail` was given */
  run(until: number): Promise<void> {
    return new Promise((resolve, reject) => {
      let over = false
      const end = (finish: () => void) => {
        over = true
        finish()
      }
      // an immediate for each event: Node lets promises come to rest between two immediates
      const step = () => {
        if (over) return
        const failure = this.#failure
        if (failure) {
          this.#failure = undefined
          return end(() => reject(failure.error))
        }
        const event = this.#next(until)
        if (!event) {
          this.now = Math.max(this.now, until)
          return end(resolve)
        }
        this.now = event.time
        this.events++
        this.mix(Math.round(event.time * 1000))
        try {
          event.run!()
        } catch (error) {
          this.fail(error)
        }
      }
      const turns = () => {
        if (over) return
        for (let i = 0; i < TURNS; i++) turn(step)
        turn(turns)
      }
      turns()
    })
  }

  /** Takes the next event that is not cancelled, if it is not later than this time. */
  #next(until: number): Event | undefined {
    while (this.#heap.length > 0 && this.#heap[0]!.time <= until) {
      const event = this.#pop()
      if (event.run) return event
    }
    return undefined
  }

  #push(event: Event): void {
    const heap = this.#heap
    let i = heap.push(event) - 1
    while (i > 0) {
      const up = (i - 1) >> 1
      if (!before(event, heap[up]!)) break
      heap[i] = heap[up]!
      i = up
    }
    heap[i] = event
  }

  #pop(): Event {
    const heap = this.#heap
    const first = heap[0]!
    const last = heap.pop()!
    if (heap.length === 0) return first
    let i = 0
    for (;;) {
      let down = 2 * i + 1
      if (down >= heap.length) break
      if (down + 1 < heap.length && before(heap[down + 1]!, heap[down]!)) down++
      if (!before(heap[down]!, last)) break
      heap[i] = heap[down]!
      i = down
    }
    heap[i] = last
    return first
  }
}

const before = (a: Event, b: Event) => a.time < b.time || (a.time === b.time && a.order < b.order)

/**
 * A process in virtual time, and its clock. It can be killed: then nothing that it waits for ever comes. It can be
 * paused, as by SIGSTOP: what falls due meanwhile comes when it goes on, timers before what arrived over the network,
 * as in Node.
 */
export class Process implements Clock {
  #state: 'running' | 'paused' | 'dead' = 'running'
  #timers: (() => void)[] = []
  #arrivals: (() => void)[] = []
  #jumped = 0
  /** When it began, or last went on after a pause. */
  awake: number
  readonly #born: number
  /** Callbacks for its death, in the order in which they were added. */
  readonly onDeath: (() => void)[] = []

  /**
   * @param machine the machine that it runs on; a partition is between machines
   * @param late how late a timer fires, in ms; called for each timer
   */
  constructor(
    readonly time: Timeline,
    readonly name: string,
    readonly machine: string,
    readonly late: () => number = () => 0,
  ) {
    this.#born = time.now
    this.awake = time.now
  }

  get alive(): boolean {
    return this.#state !== 'dead'
  }

  get paused(): boolean {
    return this.#state === 'paused'
  }

  /** In ms since the process began, so that the times of two processes cannot be compared. */
  now(): number {
    return this.time.now - this.#born
  }

  date(): number {
    return EPOCH + this.time.now + this.#jumped
  }

  after(ms: number, call: () => void): Cancel {
    // as setTimeout treats its delay
    const whole = ms >= 1 && ms <= LONGEST ? Math.trunc(ms) : 1
    let wanted = true
    const due = () => {
      if (!wanted || !this.alive) return
      if (this.#state === 'paused') this.#timers.push(due)
      else {
        wanted = false
        call()
      }
    }
    const cancel = this.time.at(this.time.now + whole + this.late(), due)
    return () => {
      wanted = false
      cancel()
    }
  }

  /** Something reaches the process from outside: now, or when it goes on if it is paused, or never if it is dead. */
  arrive(call: () => void): void {
    if (this.#state === 'running') call()
    else if (this.#state === 'paused') this.#arrivals.push(call)
  }

  pause(): void {
    if (this.alive) this.#state = 'paused'
  }

  resume(): void {
    if (this.#state !== 'paused') return
    this.#state = 'running'
    this.awake = this.time.now
    const due = [...this.#timers.splice(0), ...this.#arrivals.splice(0)]
    // an event each: the process may be paused or killed again between two
    for (const call of due) this.time.at(this.time.now, () => this.arrive(call))
  }

  kill(): void {
    if (!this.alive) return
    this.#state = 'dead'
    this.#timers = []
    this.#arrivals = []
    for (const call of this.onDeath.splice(0)) call()
  }

  /** Sets the wall clock of the process forwards or back. */
  jump(ms: number): void {
    this.#jumped += ms
  }
}
