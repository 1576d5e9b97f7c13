/** Puts the parts together that know who has joined: members, hosts, and how they are. */

import type { Exit } from '../../../api/exit.js'
import type { Restored, Saver } from '../saved.js'
import { Ends } from './ends.js'
import { Health, type HealthOptions } from './health.js'
import { Hosts } from './hosts.js'
import { Identities } from './identities.js'
import { Membership, type MembershipOptions } from './membership.js'

type Base = Omit<HealthOptions, 'membership' | 'hosts'> & Omit<MembershipOptions, 'hosts' | 'identities' | 'ends'>

export interface MembersOptions extends Base {
  state: { restored: Restored; saver: Saver | undefined }
  /** Called when a host, given by its id, reports how one of its workers ended. */
  exited(host_id: string, exit: Exit): void
}

export function createMembers(o: MembersOptions) {
  const { clock, events, state } = o
  const ends = new Ends(clock, events)
  const hosts = new Hosts({
    ...o,
    exited(host_id, exit) {
      ends.told(host_id, exit)
      o.exited(host_id, exit)
    },
  })
  const identities = new Identities(state.restored, state.saver, clock)
  const membership = new Membership({ ...o, hosts, identities, ends })
  const health = new Health({ ...o, membership, hosts })
  return { ends, hosts, membership, health }
}
