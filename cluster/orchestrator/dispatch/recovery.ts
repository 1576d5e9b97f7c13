/**
 * Takes up exchanges that workers still have after their connection was lost, or after this orchestrator was restarted.
 */

import { toFsError } from '../../../api/errors.js'
import type { OrphanRecord } from '../../../api/report.js'
import { parseRequest } from '../../../api/request.js'
import { type Clock, sleep } from '../../../fs/base/clock.js'
import type { User } from '../../../fs/file.js'
import type { Root } from '../../root/root.js'
import type { Task } from '../../root/task.js'
import type { Change } from '../members/changes.js'
import type { Member } from '../members/member.js'
import type { Membership } from '../members/membership.js'
import type { Dispatcher } from './dispatcher.js'
import type { Proofs } from './proof.js'

/** How long to wait for other workers when one has come back with an exchange that we do not know. */
const GATHER_MS = 250
/**
 * For how long after our start we continue the exchanges of an earlier orchestrator. A worker keeps them for a minute
 * (KEEP_S) after it has noticed that the connection is gone; a network partition may keep it from noticing for some
 * minutes.
 */
const RECOVERY_MS = 600_000

export interface RecoveryOptions {
  /** Our id. */
  id: string
  root: Root
  dispatcher: Dispatcher
  membership: Membership
  /** Says which tasks' numbers we have given out ourselves, since we were started. */
  state: { counters: { readonly began: number } }
  clock: Clock
  proofs: Proofs
}

/**
 * Handles exchanges of ours that a worker still has and whose connection is gone, because it broke or because we were
 * killed and started again. An exchange that is still wanted is continued. An exchange that is not (an earlier attempt,
 * or a task that its user has cancelled) is stopped.
 */
export class Recovery {
  /** Exchanges that are being taken up, by worker and number there: the next heartbeat must not take them up again. */
  readonly #busy = new Set<string>()
  readonly #o: RecoveryOptions
  readonly #began: number
  /** Members that have claimed an exchange that they were not given. This is logged once for each of them. */
  readonly #liars = new WeakSet<Member>()

  constructor(o: RecoveryOptions) {
    this.#o = o
    this.#began = o.clock.now()
  }

  /** A subscriber to changes: a member has reported which exchanges it has. */
  changed({ member, reported, left }: Change): void {
    if (!reported || left) return
    for (const orphan of member.report.orphans) {
      const key = `${member.id} ${orphan.id}`
      if (orphan.cluster !== this.#o.id || this.#busy.has(key) || !this.#proved(member, orphan)) continue
      if (this.#o.dispatcher.has(member, orphan.id)) continue
      this.#busy.add(key)
      void this.#take(member, orphan)
        .catch(error =>
          this.#o.root.events.add('recovery-failed', { task: orphan.task, error: toFsError(error).message }),
        )
        .finally(() => this.#busy.delete(key))
    }
  }

  /** Whether we gave the member this exchange. A false claim is ignored, and the exchange ends there by itself. */
  #proved(member: Member, orphan: OrphanRecord): boolean {
    const { task, attempt, user: name, uid, session } = orphan
    if (this.#o.proofs.holds(orphan.proof, member.id, { task, attempt, user: { name, uid }, session })) return true
    if (!this.#liars.has(member)) this.#o.root.events.add('orphan-refused', { worker: member.name, task, user: name })
    this.#liars.add(member)
    return false
  }

  async #take(member: Member, orphan: OrphanRecord): Promise<void> {
    const user: User = { name: orphan.user, uid: orphan.uid, role: 'use' }
    if (!this.#o.root.tasks.get(orphan.task) && Number(orphan.task) <= this.#o.state.counters.began) {
      // the first worker to come back may have an older attempt, and readers have seen the text of the newest: wait for
      // the others
      await sleep(this.#o.clock, GATHER_MS)
      if (!this.#o.root.tasks.get(orphan.task) && this.#newest(orphan.task) === orphan.attempt)
        // no exchange outlives its orchestrator by more than this: what a worker claims later is an old one, claimed
        // again
        return this.#o.clock.now() - this.#began < RECOVERY_MS ? this.#rebuild(member, orphan, user) : undefined
    }
    const task = this.#o.root.tasks.get(orphan.task)
    const current = task && !task.ended && this.#o.dispatcher.attemptOf(task) === orphan.attempt
    if (current && this.#o.root.tasks.take(task)) return this.#find(task, member, orphan.id)
    const root = await member.peer.as(user)
    await root.ask(['task', orphan.id], fid => fid.remove()).catch(() => undefined)
  }

  /** The number of the newest attempt at a task that any worker has. */
  #newest(task: string): number {
    let newest = 0
    for (const member of this.#o.membership.members.values())
      for (const orphan of member.report.orphans)
        if (orphan.cluster === this.#o.id && orphan.task === task && orphan.attempt > newest)
          if (this.#proved(member, orphan)) newest = orphan.attempt
    return newest
  }

  /** Recreates a task that was submitted to an earlier orchestrator. */
  async #rebuild(member: Member, orphan: OrphanRecord, user: User): Promise<void> {
    const request = parseRequest(await member.peer.read(['task', orphan.id, 'request'], user))
    const { via = [], generate, digest } = request
    const entry = via.at(-1)
    if (entry?.cluster !== this.#o.id || entry.task !== orphan.task || entry.attempt !== orphan.attempt) return
    // the proof holds for one session: the answer must not get into another
    if (entry.session !== orphan.session) return
    if (this.#o.root.tasks.get(orphan.task)) return
    const { prefix_ids, ...asked } = generate
    const given = entry.given !== undefined
    const outer = via.slice(0, -1)
    const { session } = entry
    const prompt = generate.prompt ?? generate.messages?.at(-1)?.content ?? ''
    const whole = {
      ...request,
      generate: given ? asked : generate,
      digest: given ? undefined : digest,
      via: outer.length ? outer : undefined,
    }
    const task = this.#o.root.adopt(orphan.task, { user, request: whole, prompt, session })
    if (given) task.token(entry.given!, prefix_ids ?? [])
    this.#o.dispatcher.restore(task, {
      attempt: orphan.attempt,
      // ids that the user gave are in the request
      ids: given ? (prefix_ids ?? []) : [],
      digest: given ? digest : member.model?.digest || undefined,
    })
    this.#o.root.events.add('task-recovered', { task: task.id, user: user.name, worker: member.name })
    return this.#find(task, member, orphan.id)
  }

  /** Continues a task on the worker that has it. */
  #find(task: Task, member: Member, remote: string): void {
    void this.#o.dispatcher.find(task, member, remote).then(how => {
      if (how === 'again') this.#o.root.tasks.again(task)
    })
  }
}
