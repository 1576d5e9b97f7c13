import type { Cancel, Clock } from '../../fs/clock.js'

/** The day on which every simulation begins, in ms since 1970. */
const EPOCH = Date.UTC(2026, 0, 1)
/** What setTimeout makes 1 ms of: less than one, and more than 32 bits can count. */
const LONGEST = 2 ** 31 - 1
/** Events between which the machine is not asked for anything else. */
const TURNS = 64

/** Taken before anything replaces it: what moves the simulation itself on. */
const turn = setImmediate

interface Event {
  readonly time: number
  readonly order: number
  run: (() => void) | undefined
}

/**
 * Virtual time: what happens is a queue of events, and time jumps from one to the next. All that an event sets off (promises
 * that resolve, what waits for them) has come to rest before the next, so that a run depends on nothing but its seed.
 */
export class Timeline {
  /** Virtual ms since the beginning. */
  now = 0
  /** Events that have happened. */
  events = 0
  /** What ran, in order and with its times, as one number: two runs with the same hash were the same. */
  hash = 0x811c9dc5
  readonly #heap: Event[] = []
  #order = 0
  #failure: { error: unknown } | undefined

  /** Calls once, at that time; of several at one time, first asked first called. */
  at(time: number, run: () => void): Cancel {
    const event: Event = { time: Math.max(time, this.now), order: this.#order++, run }
    this.#push(event)
    return () => {
      event.run = undefined
    }
  }

  /** Counts something into the hash. */
  mix(value: number | string): void {
    if (typeof value === 'number') this.hash = Math.imul(this.hash ^ (value | 0), 0x01000193)
    else for (let i = 0; i < value.length; i++) this.hash = Math.imul(this.hash ^ value.charCodeAt(i), 0x01000193)
  }

  /** Ends `run` with this error, at the next event. */
  fail(error: unknown): void {
    this.#failure ??= { error }
  }

  /** Lets time go on until then. @throws what an event threw, or `fail` was given */
  run(until: number): Promise<void> {
    return new Promise((resolve, reject) => {
      let over = false
      const end = (finish: () => void) => {
        over = true
        finish()
      }
      // an immediate each: Node lets promises come to rest between two
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

  /** Takes the next event that is not cancelled, if it is not later than that. */
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
 * A process in virtual time, and the clock it goes by. It can be killed: nothing it waited for ever comes. It can be paused, as
 * by SIGSTOP: what falls due meanwhile comes when it goes on, timers before what came over the network, as in Node.
 */
export class Process implements Clock {
  #state: 'running' | 'paused' | 'dead' = 'running'
  #timers: (() => void)[] = []
  #arrivals: (() => void)[] = []
  #jumped = 0
  /** When it began, or went on. */
  awake: number
  readonly #born: number
  /** Called when it dies, in the order they were added. */
  readonly onDeath: (() => void)[] = []

  /**
   * @param machine where it runs; a partition is between machines
   * @param late how late a timer comes, in ms, drawn anew for each
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

  /** Of its own beginning, so that no two processes' times can be compared. */
  now(): number {
    return this.time.now - this.#born
  }

  date(): number {
    return EPOCH + this.time.now + this.#jumped
  }

  after(ms: number, call: () => void): Cancel {
    // as setTimeout does it
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

  /** Something reaches it from outside: now, when it goes on, or never. */
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
    // each by itself, and it may be paused or killed again between them
    for (const call of due) this.time.at(this.time.now, () => this.arrive(call))
  }

  kill(): void {
    if (!this.alive) return
    this.#state = 'dead'
    this.#timers = []
    this.#arrivals = []
    for (const call of this.onDeath.splice(0)) call()
  }

  /** Somebody sets the clock on the wall. */
  jump(ms: number): void {
    this.#jumped += ms
  }
}
