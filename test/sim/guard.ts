/** Keeps the machine's own time and chance out of a simulation. */
import type { Timeline } from './clock.js'

/**
 * Replaces the functions that would let the machine's time or chance into a simulation. A call of one ends the seed and
 * shows where it came from. The time of day becomes the virtual one. For a process that does nothing but simulate.
 * @returns a function that tells the guard which timeline runs now
 */
export function guard(): (time: Timeline, date: () => number) => void {
  let now: { time: Timeline; date: () => number } | undefined
  const scope = globalThis as unknown as Record<string, unknown>
  for (const name of ['setTimeout', 'setInterval', 'setImmediate']) {
    const real = scope[name] as (...args: unknown[]) => unknown
    scope[name] = (...args: unknown[]) => {
      now?.time.fail(new Error(`the product called ${name}`))
      return real(...args)
    }
  }
  const random = Math.random
  Math.random = () => {
    now?.time.fail(new Error('the product called Math.random'))
    return random()
  }
  const monotonic = performance.now.bind(performance)
  performance.now = () => {
    now?.time.fail(new Error('the product called performance.now'))
    return monotonic()
  }
  const date = Date.now
  Date.now = () => (now ? now.date() : date())
  const lost = (error: unknown) => now?.time.fail(error)
  process.on('unhandledRejection', lost)
  process.on('uncaughtException', lost)
  return (time, date) => {
    now = { time, date }
  }
}
