/** Probes: short prompts that a worker must answer before it gets those of users. */

import { parseAnswerEvent } from '../../../api/answer.js'
import { fail, received, toFsError } from '../../../api/errors.js'
import type { Events } from '../../../api/events.js'
import { Unfit } from '../../../api/field.js'
import { requestText } from '../../../api/request.js'
import { type Clock, deadline } from '../../../fs/base/clock.js'
import type { User } from '../../../fs/file.js'
import * as limits from '../limits.js'
import type { Changes } from './changes.js'
import type { Member } from './member.js'

/** What a probe asks. */
const PING = requestText({ messages: [{ role: 'user', content: 'ping' }], max_tokens: 1, priority: 10 })

export class Probes {
  readonly #probing = new Set<Member>()

  constructor(
    readonly clock: Clock,
    readonly events: Events,
    readonly changes: Changes,
    /** The user of our own requests. */
    readonly self: User,
    /** Called for a member that does not answer: its engine hangs. */
    readonly onHung: (member: Member, why: string) => void,
  ) {}

  /** Probes a member that is not ready, unless its last probe failed too recently. */
  offer(member: Member): void {
    const due = this.clock.now() >= member.probeAfter
    if (!member.ready && member.model && !member.suspect && due) this.probe(member)
  }

  /** The upstream of a member has failed: checks at once whether it is still there. */
  doubt(member: Member): void {
    if (member.remote && this.clock.now() >= member.probeAfter) this.probe(member)
  }

  probe(member: Member): void {
    if (this.#probing.has(member) || member.left) return
    this.#probing.add(member)
    void this.#probe(member).finally(() => {
      this.#probing.delete(member)
      this.changes.changed(member)
    })
  }

  /** A worker is ready once it has answered; an open port is not enough. Never rejects. */
  async #probe(member: Member): Promise<void> {
    const late = deadline(this.clock, limits.PROBE_MS, () => fail('interrupted'))
    try {
      await this.#ask(member, late.signal)
      if (member.left || member.suspect) return
      const was = member.ready
      member.ready = true
      member.problem = undefined
      member.probes = 0
      const { name, report, model } = member
      if (!was) this.events.add('worker-ready', { worker: name, slots: report.slots, model: model?.name })
    } catch (error) {
      this.#failed(member, error instanceof Unfit ? error : toFsError(error), late.signal.aborted)
    } finally {
      late.cancel()
    }
  }

  async #ask(member: Member, signal: AbortSignal): Promise<void> {
    // a prompt to an upstream may cost money: `check` only asks for its list of models
    if (member.remote && member.report.kind === 'worker') return member.peer.command('check\n', signal)
    const answer = await member.peer.ask('generate', PING, this.self, signal)
    const last = parseAnswerEvent(answer.trimEnd().split('\n').at(-1)!)
    if (last.event === 'error') throw received(last.error)
    if (last.event !== 'end') throw fail('badMessage', `event stream closed with ${last.event} as its last event`)
  }

  #failed(member: Member, { message }: Error, late: boolean): void {
    if (!member.left && message !== member.problem)
      this.events.add('probe-failed', { worker: member.name, error: message })
    if (!late) member.problem = message
    const pause = Math.min(limits.CHECK_MS * 2 ** member.probes++, limits.MOST_CHECK_MS)
    if (member.remote) {
      member.ready = false
      member.probeAfter = this.clock.now() + pause
    }
    // a probe that waits behind other exchanges says nothing about the engine
    const { active, queue } = member.report
    if (late && !member.left && active + queue <= 1)
      this.onHung(member, `no answer to a probe for ${limits.PROBE_MS / 1000} s`)
  }
}
