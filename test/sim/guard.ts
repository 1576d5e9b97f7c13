import type { Timeline } from './clock.js'

/**
 * Replaces what would let the machine's own time or chance into a simulation by what ends the seed and says where it was
 * called; the time of day is the virtual one. For a process that does nothing but simulate.
 * @returns gives the guard the timeline that runs now
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
