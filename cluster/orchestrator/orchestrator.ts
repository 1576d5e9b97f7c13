/** Puts an orchestrator together: the parts of a cluster, what each of them uses, and the order in which they learn. */

import type { EventAttributes } from '../../api/events.js'
import { systemClock } from '../../fs/base/clock.js'
import type { User } from '../../fs/file.js'
import { EventLog } from '../../fs/kit/event-log.js'
import { hexId } from '../id.js'
import { Budget } from '../root/budget.js'
import type { Root } from '../root/root.js'
import { Spills } from '../root/spills.js'
import { Commands } from './commands.js'
import { Affinity } from './dispatch/affinity.js'
import { Dispatcher } from './dispatch/dispatcher.js'
import { Proofs } from './dispatch/proof.js'
import { Recovery } from './dispatch/recovery.js'
import { Routing } from './dispatch/routing.js'
import { Changes } from './members/changes.js'
import type { Member } from './members/member.js'
import { createMembers } from './members/members.js'
import { createModels } from './models/models.js'
import type { Orchestrator, OrchestratorOptions } from './options.js'
import { Readiness } from './readiness.js'
import { Fleet } from './scaling/fleet.js'
import { Retirement } from './scaling/retirement.js'
import { service } from './service.js'
import { type ClusterSettings, defaultSettings, shownEvent } from './settings.js'
import { openState, restore } from './state.js'
import { clusterDirectory, clusterRoot } from './tree.js'

/** Serves many workers as one tree (docs/files.md). It uses them through their files, and nothing else. */
export function createOrchestrator(given: OrchestratorOptions): Orchestrator {
  const { owner, name, version, host, clock = systemClock, random = Math.random, budget = new Budget() } = given
  const self: User = { name: owner.name, uid: owner.uid, role: 'admin' }
  const settings: ClusterSettings = { ...defaultSettings(), ...given.settings }
  const life = { closing: false }
  const events = new EventLog<EventAttributes>(clock, (line, kind) => {
    if (shownEvent(settings.log, line, kind)) given.log?.(line)
  })
  const notSpilled = (error: Error) => events.add('not-spilled', { error: error.message })
  const spills = given.spill && new Spills(given.spill, clock, notSpilled)
  const state = openState(given.store, events, { random, secret: given.secret })
  const { id } = state
  const boot = hexId(random, 8)
  const proofs = new Proofs(state.secret)
  const changes = new Changes()
  const base = {
    clock,
    random,
    events,
    budget,
    settings,
    self,
    id,
    version,
    changes,
    proofs,
    spills,
    state,
    given,
    life,
  }

  const members = createMembers({
    ...base,
    exited(host_id, { boot, signal }) {
      if (signal === undefined) return
      dispatcher.died(host_id, boot, signal)
      models.loading.died(host_id, boot, signal)
    },
  })
  const models = createModels({
    ...base,
    ...members,
    local: host,
    onEnd: member => members.health.reloaded(member),
    onFailed(model, error) {
      for (const task of [...root.tasks.waiting()]) if (task.request.model === model) task.stop(error)
    },
  })

  const affinity = new Affinity<Member>()
  const routing = new Routing(random, affinity, member => members.health.allows(member))
  const readiness = new Readiness({ ...base, ...members, routing, scales: () => fleet.scales })
  const dispatcher: Dispatcher = new Dispatcher({ ...base, ...members, ...models, routing, affinity, readiness })

  const retirement = new Retirement({ ...base, ...members, ...models, dispatcher })
  const waiting = () => root.tasks.waiting()
  const fleet: Fleet = new Fleet({ ...base, ...members, dispatcher, retirement, waiting })

  const parts = { ...base, ...members, ...models, routing, dispatcher, readiness, retirement, fleet }
  const commands = new Commands(parts)
  const tree = { ...parts, commands, status: { ...parts, name, boot, host, began: clock.now() } }
  const root: Root = clusterRoot(tree)
  const recovery = new Recovery({ ...parts, root })

  // each learns of a change after those whose knowledge it uses; the queue is looked at when all have
  for (const part of [members.health, models.catalog, models.loading, dispatcher, recovery, readiness])
    changes.subscribe(change => part.changed(change))
  changes.onSettled = () => root.tasks.wake()
  readiness.onLacking = error => root.tasks.fail(error)

  restore(root, state, self)
  events.add('started', { cluster: name, version, boot })
  commands.restored()
  if (given.newModel) {
    models.wanted.clear()
    root.keepSettings()
  }
  const { health, membership, hosts } = members
  const closed = [dispatcher, health, membership, hosts]
  return service({ ...parts, root, directory: clusterDirectory(root, tree), secret: proofs.joining, closed })
}
