/** Asks several members of a union at once, with a time limit for each. */
import { type Clock, systemClock } from '../base/clock.js'
import { type FsError, fail, toFsError } from '../base/errors.js'
import { within } from '../base/interruptible.js'
import type { Context } from '../file.js'

/** How long one member may keep the others waiting, in ms. */
export const PATIENCE_MS = 3000

/** The request that is made to each member. */
type Ask<M, T> = (member: M, ctx: Context) => Promise<T>

/**
 * Asks all members at once, each with a time limit of `ms`; a single member may take as long as it needs.
 * @returns the answers of those that answered, in order
 * @throws FsError `interrupted`, or the first member's error if none answered
 */
export async function askAll<M, T>(
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
 * Asks all members at once, as `each` does, and returns the first answer in order that is not undefined.
 * @throws FsError the first error, if no member had an answer
 */
export async function askFirst<M, T>(
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

/** Asks one member, with a time limit. @throws FsError `interrupted`, or `i/o error` if no answer came */
async function promptly<T>(
  ms: number,
  ctx: Context,
  ask: (ctx: Context) => Promise<T>,
  clock = systemClock,
): Promise<T> {
  try {
    return await within(clock, ms, ctx.signal, signal => ask({ user: ctx.user, signal }))
  } catch (error) {
    throw ctx.signal.aborted ? fail('interrupted') : error
  }
}
