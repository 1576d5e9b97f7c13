/** Puts an orchestrator together: the parts of a cluster, what each of them uses, and the order in which they learn. */

import { fail } from '../../api/errors.js'
import { every, sleep, systemClock } from '../../fs/base/clock.js'
import type { User } from '../../fs/file.js'
import { EventLog } from '../../fs/kit/event-log.js'
import { hexId } from '../id.js'
import { Budget } from '../root/budget.js'
import * as rootLimits from '../root/limits.js'
import type { Root } from '../root/root.js'
import { Spills } from '../root/spills.js'
import { Commands } from './commands.js'
import { Affinity } from './dispatch/affinity.js'
import { Dispatcher } from './dispatch/dispatcher.js'
import { Proofs } from './dispatch/proof.js'
import { Recovery } from './dispatch/recovery.js'
import { Routing } from './dispatch/routing.js'
import * as limits from './limits.js'
import { Changes } from './members/changes.js'
import { Ends } from './members/ends.js'
import { Health } from './members/health.js'
import { Hosts } from './members/hosts.js'
import { Identities } from './members/identities.js'
import type { Member } from './members/member.js'
import { Membership } from './members/membership.js'
import { Catalog } from './models/catalog.js'
import { FatalLoads } from './models/fatal-loads.js'
import { Loading } from './models/loading.js'
import { WantedModels } from './models/wanted.js'
import type { Orchestrator, OrchestratorOptions } from './options.js'
import { Readiness } from './readiness.js'
import { Fleet } from './scaling/fleet.js'
import { Retirement } from './scaling/retirement.js'
import { type ClusterSettings, shownEvent } from './settings.js'
import { openState, restore } from './state.js'
import { clusterDirectory, clusterRoot } from './tree.js'

/** Serves many workers as one tree (docs/files.md). It uses them through their files, and nothing else. */
export function createOrchestrator(given: OrchestratorOptions): Orchestrator {
  const { owner, name, version, host, clock = systemClock, random = Math.random, budget = new Budget() } = given
  const self: User = { name: owner.name, uid: owner.uid, role: 'admin' }
  const settings: ClusterSettings = {
    queue: { max: rootLimits.MAX_QUEUE, ttl_s: 30 },
    retry: { tries: 2, resumes: 1 },
    heartbeat_s: 3,
    log: 'info',
    ...given.settings,
  }
  let closing = false

  const events = new EventLog(clock, (line, kind) => {
    if (shownEvent(settings.log, line, kind)) given.log?.(line)
  })
  const notSpilled = (error: Error) => events.add('not-spilled', { error: error.message })
  const spills = given.spill && new Spills(given.spill, clock, notSpilled)
  const state = openState(given.store, events, { random, secret: given.secret })
  const { id, saver } = state
  const boot = hexId(random, 8)
  const proofs = new Proofs(state.secret)
  const changes = new Changes()
  const base = { clock, random, events, budget, settings, self, id, version, changes, proofs, spills, state, given }

  // members: who has joined, and how they are
  const ends = new Ends(clock, events)
  const fatal = new FatalLoads(clock)
  const hosts = new Hosts({
    ...base,
    exited(host_id, exit) {
      ends.told(host_id, exit)
      const { boot, signal } = exit
      if (signal === undefined) return
      dispatcher.died(host_id, boot, signal)
      const model = fatal.died(host_id, boot, signal)
      if (model !== undefined) events.add('load-fatal', { model, boot, signal })
    },
  })
  const identities = new Identities(state.restored, saver, clock)
  const membership = new Membership({ ...base, hosts, identities, ends })
  const health = new Health({ ...base, membership, hosts })

  // models: what they can answer with
  const wanted = new WantedModels()
  const catalog = new Catalog(membership, hosts, wanted, fatal, host)
  const loading = new Loading({
    ...base,
    ...{ catalog, hosts, wanted, fatal },
    onEnd: member => health.reloaded(member),
    onFailed(model, error) {
      for (const task of [...root.tasks.waiting()]) if (task.request.model === model) task.stop(error)
    },
  })

  // dispatch: what runs where
  const affinity = new Affinity<Member>()
  const routing = new Routing(random, affinity, member => health.allows(member))
  const scales = () => fleet.lines.includes('autoscale on')
  const readiness = new Readiness({ clock, membership, hosts, routing, met: state.known, scales })
  const dispatcher: Dispatcher = new Dispatcher({
    ...base,
    ...{ membership, health, catalog, loading, routing, affinity },
    accept() {
      if (closing) throw fail('shuttingDown')
    },
    answerable() {
      const lacking = readiness.lacking()
      if (lacking) throw lacking
    },
  })

  // scaling: how many there are
  const retirement = new Retirement({ ...base, hosts, health, dispatcher, wanted })
  const fleet: Fleet = new Fleet({
    ...base,
    membership,
    hosts,
    dispatcher,
    retirement,
    waiting: () => root.tasks.waiting(),
  })

  const parts = { ...base, membership, hosts, catalog, dispatcher, fleet, routing, loading, wanted, retirement }
  const { heartbeats } = health
  const { shutdown } = given
  const commands = new Commands({ ...parts, heartbeats, shutdown, refused: why => given.refused?.(why) })
  const status = { ...parts, name, boot, host, began: clock.now(), closing: () => closing, ends }
  const tree = { ...parts, commands, status }
  const root: Root = clusterRoot(tree)
  const recovery = new Recovery({ ...parts, root })

  // each learns of a change after those whose knowledge it uses; the queue is looked at when all have
  for (const part of [health, catalog, loading, dispatcher, recovery, readiness])
    changes.subscribe(change => part.changed(change))
  changes.onSettled = () => root.tasks.pump()

  restore(root, state, self)
  events.add('started', { cluster: name, version, boot })
  commands.restored()
  if (given.newModel) {
    wanted.clear()
    root.keepSettings()
  }
  const stopLooking = every(clock, limits.WATCH_MS, () => {
    const lacking = readiness.lacking()
    if (lacking) root.tasks.fail(lacking)
  })

  return {
    root: clusterDirectory(root, tree),
    events,
    id,
    secret: proofs.joining,
    holds: model => wanted.holdOf(undefined, model),
    join: transport => membership.join(transport),
    ready: (what, signal) => readiness.ready(what, signal),
    failed: (error, user, file) => root.failed(error, user, file),
    succeeded: user => root.succeeded(user),
    get unfinished() {
      return dispatcher.active + root.tasks.queued
    },
    async drain(signal) {
      closing = true
      const aborted = new Promise<void>(resolve => {
        if (signal.aborted) resolve()
        else signal.addEventListener('abort', () => resolve(), { once: true })
      })
      await Promise.race([root.tasks.idle(), aborted])
      root.tasks.stop(fail('shuttingDown'))
    },
    async close() {
      closing = true
      stopLooking()
      fleet.close()
      root.close()
      // our exchanges on the workers are stopped before the connections are closed
      const until = clock.now() + limits.CLOSE_MS
      while (dispatcher.active > 0 && clock.now() < until) await sleep(clock, 5)
      dispatcher.close()
      health.close()
      membership.close()
      hosts.close()
      state.counters.close()
      await saver?.settled()
    },
  }
}
