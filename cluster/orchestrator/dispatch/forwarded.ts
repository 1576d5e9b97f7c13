/** A task's request as a member gets it. */

import { type Request, requestJson, type Via } from '../../../api/request.js'
import type { Task } from '../../root/task.js'
import { KEEP_S } from '../limits.js'
import type { Member } from '../members/member.js'
import type { Proofs } from './proof.js'

export interface ForwardOptions {
  /** Our id. */
  id: string
  proofs: Proofs
  /** The model of requests that name none; undefined: any. */
  plain: string | undefined
  /** The number of this attempt, from 1. */
  attempt: number
  /** The ids of the tokens that the member continues, and the digest of the model that made them; undefined: none. */
  given: { ids: readonly number[]; digest: string } | undefined
}

/**
 * The request as JSON. A worker only takes note of some of its fields; a cluster that joined as one routes by them.
 */
export function forwarded(
  task: Task,
  member: Member,
  { id: cluster, proofs, plain, attempt, given }: ForwardOptions,
): string {
  const { request, id, session, answer, user } = task
  const via: Via = {
    cluster,
    task: id,
    attempt,
    ...(session !== undefined && { session }),
    ...(answer.length > 0 && { given: answer.text() }),
    proof: proofs.of(member.id, { task: id, attempt, user, session }),
  }
  // a cluster below would answer a request that names no model with one of its own choice
  const { model, type, model_hint } = request
  const names = !(model ?? type ?? model_hint) && member.report.kind === 'cluster' && member.has(plain)
  const sent: Request = {
    ...request,
    ...(names && { model: plain }),
    generate: { ...request.generate, ...(given && { prefix_ids: given.ids }) },
    ...(given && { digest: given.digest }),
    session: undefined,
    deadline_ms: undefined,
    priority: task.priority,
    keep_s: KEEP_S,
    via: [...(request.via ?? []), via],
  }
  return requestJson(sent, task.asked)
}
