/** What the server around an orchestrator calls: to join peers, to wait, and to end in order. */

import { fail } from '../../api/errors.js'
import type { Events } from '../../api/events.js'
import { type Clock, sleep } from '../../fs/base/clock.js'
import { aborted } from '../../fs/base/interruptible.js'
import type { File } from '../../fs/file.js'
import type { Root } from '../root/root.js'
import type { Dispatcher } from './dispatch/dispatcher.js'
import { CLOSE_MS } from './limits.js'
import type { Membership } from './members/membership.js'
import type { WantedModels } from './models/wanted.js'
import type { Orchestrator } from './options.js'
import type { Readiness } from './readiness.js'
import type { Fleet } from './scaling/fleet.js'
import type { State } from './state.js'

export interface ServiceOptions {
  clock: Clock
  events: Events
  id: string
  state: State
  /** Whether the cluster ends: it takes no more prompts. */
  life: { closing: boolean }
  root: Root
  directory: File
  /** The secret that shows a cluster that we join that we are this one. */
  secret: string
  membership: Membership
  wanted: WantedModels
  readiness: Readiness
  fleet: Fleet
  dispatcher: Dispatcher
  /** Closed in this order, when our exchanges on the workers have been stopped. */
  closed: readonly { close(): void }[]
}

export function service(o: ServiceOptions): Orchestrator {
  const { clock, events, id, secret, life, state, root, directory } = o
  const { membership, wanted, readiness, fleet, dispatcher } = o
  return {
    root: directory,
    events,
    id,
    secret,
    holds: model => wanted.holdOf(undefined, model),
    join: transport => membership.join(transport),
    ready: (what, signal) => readiness.ready(what, signal),
    failed: (error, user, file) => root.failed(error, user, file),
    succeeded: user => root.succeeded(user),
    get unfinished() {
      return dispatcher.active + root.tasks.queued
    },
    async drain(signal) {
      life.closing = true
      await Promise.race([root.tasks.idle(), aborted(signal)])
      root.tasks.stop(fail('shuttingDown'))
    },
    async close() {
      life.closing = true
      readiness.close()
      fleet.close()
      root.close()
      const until = clock.now() + CLOSE_MS
      while (dispatcher.active > 0 && clock.now() < until) await sleep(clock, 5)
      for (const part of o.closed) part.close()
      state.counters.close()
      await state.saver?.settled()
    },
  }
}
