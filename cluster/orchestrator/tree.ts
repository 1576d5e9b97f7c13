/** The tree of a cluster: the files of its root, and below it the trees of its workers and hosts. */

import type { Events } from '../../api/events.js'
import { sessionText, turnText } from '../../api/session.js'
import type { Clock } from '../../fs/base/clock.js'
import { quote } from '../../fs/base/quote.js'
import type { Entry, File } from '../../fs/file.js'
import { generated } from '../../fs/kit/dir.js'
import type { Budget } from '../root/budget.js'
import { Root } from '../root/root.js'
import type { Spills } from '../root/spills.js'
import type { Commands } from './commands.js'
import type { Dispatcher } from './dispatch/dispatcher.js'
import { embed } from './dispatch/embed.js'
import type { Hosts } from './members/hosts.js'
import type { Membership } from './members/membership.js'
import type { Catalog } from './models/catalog.js'
import { modelsDirectory, stores } from './models/directory.js'
import type { OrchestratorOptions } from './options.js'
import type { Fleet } from './scaling/fleet.js'
import type { ClusterSettings } from './settings.js'
import type { State } from './state.js'
import { type ClusterStatus, clusterStatus } from './status.js'
import { clusterLines, clusterVerbs } from './verbs.js'

/** The parts of the cluster that the tree shows. */
export interface TreeOptions {
  /** What the orchestrator was given. */
  given: OrchestratorOptions
  clock: Clock
  budget: Budget
  events: Events
  settings: ClusterSettings
  spills: Spills | undefined
  state: State
  status: ClusterStatus
  membership: Membership
  hosts: Hosts
  catalog: Catalog
  dispatcher: Dispatcher
  fleet: Fleet
  commands: Commands
}

/** The files of the cluster's root. */
export function clusterRoot(o: TreeOptions): Root {
  const { given, clock, budget, events, settings, spills, membership, hosts, catalog, fleet, commands } = o
  const { owner, host: local } = given
  const { saver, counters } = o.state
  const store = { membership, hosts, local }
  const root: Root = new Root({
    name: '',
    owner,
    events,
    clock,
    executor: o.dispatcher,
    budget,
    ...(spills && { spills }),
    mayPrioritise: user => user.role === 'admin' || (given.prioritised?.includes(user.name) ?? false),
    queue: settings.queue,
    id: kind => counters.next(kind),
    saveSession: (number, session, added) =>
      saver?.save(`session-${number}`, session && (() => sessionText(session.saved())), added && turnText(added)),
    saveSettings: lines => saver?.save('ctl', lines.length ? () => lines.join('\n') : undefined),
    base: request => given.defaults?.(request.model ?? catalog.plain ?? catalog.only ?? '') ?? {},
    embed: (request, user, signal) => {
      const { plain } = catalog
      return embed(membership.members.values(), { ...(plain && { model: plain }), ...request }, user, signal)
    },
    verbs: { ...clusterVerbs(commands), ...fleet.verbs },
    settings: () => [...clusterLines(commands), ...fleet.lines],
    status: async () => clusterStatus(o.status, root.tasks),
    models: modelsDirectory({ ...store, owner, clock }),
    namespace: () => [
      ...(given.mounts?.() ?? []),
      ...membership.listed.map(({ name, peer }) => `mount ${quote(peer.client.transport.name)} ${name}`),
      ...[...hosts.peers].map(([name, peer]) => `mount ${quote(peer.client.transport.name)} host/${name}`),
      ...stores(store).map(({ name }) => `bind -a ${name}/models models`),
    ],
  })
  return root
}

/** The root directory: the files of the root, the workers by name, and `host/`. */
export function clusterDirectory(root: Root, { membership, hosts, given: { owner } }: TreeOptions): File {
  const host = generated({
    owner,
    walk: name => hosts.peers.get(name)?.root,
    list: () => [...hosts.peers].map(([name, peer]) => [name, peer.root] as const),
  })
  return generated({
    owner,
    walk: name => root.files.get(name) ?? (name === 'host' ? host : membership.members.get(name)?.peer.root),
    list: (): Entry[] => [
      ...root.files,
      ['host', host],
      ...membership.listed.map(({ name, peer }) => [name, peer.root] as const),
    ],
  })
}
