/** Takes workers out of service: drains them, puts them back, and ends them in order. */

import { fail } from '../../../api/errors.js'
import type { Events } from '../../../api/events.js'
import { type Clock, sleep } from '../../../fs/base/clock.js'
import type { Dispatcher } from '../dispatch/dispatcher.js'
import { DRAIN_MS } from '../limits.js'
import type { Changes } from '../members/changes.js'
import type { Health } from '../members/health.js'
import type { Hosts } from '../members/hosts.js'
import type { Member } from '../members/member.js'
import type { WantedModels } from '../models/wanted.js'

export interface RetirementOptions {
  clock: Clock
  events: Events
  changes: Changes
  hosts: Hosts
  health: Health
  dispatcher: Dispatcher
  wanted: WantedModels
}

export class Retirement {
  readonly #o: RetirementOptions

  constructor(o: RetirementOptions) {
    this.#o = o
  }

  /** Gives a worker no new requests; those that it has go on. */
  drain(member: Member): void {
    member.draining = true
    this.#o.events.add('worker-draining', { worker: member.name })
    this.#o.changes.changed(member)
  }

  /** Gives a drained worker requests again. */
  resume(member: Member): void {
    const { events, changes, health } = this.#o
    member.draining = false
    events.add('worker-resumed', { worker: member.name })
    // the worker may be draining by itself, because others told it to
    if (member.report.state === 'draining')
      void member.peer.command('resume\n').then(
        () => health.heartbeats.refresh(member),
        () => undefined,
      )
    changes.changed(member)
  }

  /** Drains a worker, moves the tasks that do not finish in time, and ends it. */
  async retire(member: Member): Promise<void> {
    const { clock, dispatcher, hosts, wanted } = this.#o
    this.drain(member)
    const until = clock.now() + DRAIN_MS
    while (member.running > 0 && clock.now() < until && !member.left) await sleep(clock, 50)
    dispatcher.move(member, fail('shuttingDown'))
    wanted.forget(member.name)
    if (member.left) return
    // through its host, which must know that the worker should stay away
    const stopped = hosts.of(member)?.command(`stop ${member.id}\n`) ?? Promise.reject()
    await stopped.catch(() => member.peer.command('shutdown\n')).catch(() => undefined)
  }
}
