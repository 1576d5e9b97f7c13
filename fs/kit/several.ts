import { type Clock, systemClock } from '../clock.js'
import { type FsError, fail, toFsError } from '../errors.js'
import type { Context } from '../file.js'
import { within } from '../interruptible.js'

/** How long one of several may keep the others waiting, in ms. */
export const PATIENCE_MS = 3000

/** What is asked of one. */
type Ask<M, T> = (member: M, ctx: Context) => Promise<T>

/**
 * Asks every one at once, each for its time; a single one for as long as it takes.
 * @returns what those that answered said, in order
 * @throws FsError `interrupted`, or what the first failed with where none answered
 */
export async function each<M, T>(
  members: readonly M[],
  ms: number,
  ctx: Context,
  ask: Ask<M, T>,
  clock?: Clock,
): Promise<T[]> {
  if (members.length <= 1) return Promise.all(members.map(member => ask(member, ctx)))
  const asked = await Promise.allSettled(members.map(member => promptly(ms, ctx, ctx => ask(member, ctx), clock)))
  if (ctx.signal.aborted) throw fail('interrupted')
  const answers = asked.flatMap(one => (one.status === 'fulfilled' ? [one.value] : []))
  if (answers.length === 0) throw (asked[0] as PromiseRejectedResult).reason
  return answers
}

/**
 * What the first in order says that is not undefined; all are asked at once, as by `each`.
 * @throws FsError what one failed with, where no other had anything to say
 */
export async function first<M, T>(
  members: readonly M[],
  ms: number,
  ctx: Context,
  ask: Ask<M, T | undefined>,
  clock?: Clock,
): Promise<T | undefined> {
  if (members.length <= 1) return members[0] && ask(members[0], ctx)
  const asked = members.map(member => promptly(ms, ctx, ctx => ask(member, ctx), clock).catch(toFsError))
  let failed: FsError | undefined
  for (const one of asked) {
    const answer = await one
    if (answer instanceof Error) failed ??= answer as FsError
    else if (answer !== undefined) return answer
  }
  if (failed) throw failed
}

/** Asks for so long. @throws FsError `interrupted`, or that no answer came */
async function promptly<T>(
  ms: number,
  ctx: Context,
  ask: (ctx: Context) => Promise<T>,
  clock = systemClock,
): Promise<T> {
  const late = () => fail('io', `no answer within ${ms / 1000} s`)
  try {
    return await within(clock, ms, ctx.signal, late, signal => ask({ user: ctx.user, signal }))
  } catch (error) {
    throw ctx.signal.aborted ? fail('interrupted') : error
  }
}
