/** The directory `models/` of a cluster: the union of the model stores of its hosts. */

import { fail } from '../../../api/errors.js'
import type { Clock } from '../../../fs/base/clock.js'
import type { Created, File, Owner } from '../../../fs/file.js'
import { union } from '../../../fs/kit/dir.js'
import type { Hosts } from '../members/hosts.js'
import type { Member } from '../members/member.js'
import type { Membership } from '../members/membership.js'

export interface StoresOptions {
  membership: Membership
  hosts: Hosts
  /** The name of the host that we are on. */
  local: string
}

/**
 * The members through which the hosts' model stores are reached. The workers of a host share its store. Two workers
 * are taken of each host, so that a worker that hangs does not make the store unreachable; those that answer come
 * first, and our own host before the others.
 */
export function stores({ membership, hosts: machines, local }: StoresOptions): Member[] {
  const hosts = new Map<string, Member[]>([[local, []]])
  for (const member of membership.members.values()) {
    const host = machines.machineOf(member)
    const others = hosts.get(host)
    if (others) others.push(member)
    else hosts.set(host, [member])
  }
  const inDoubt = ({ suspect, peer }: Member) => Number(suspect || peer.refreshing)
  return [...hosts.values()].flatMap(members => members.sort((a, b) => inDoubt(a) - inDoubt(b)).slice(0, 2))
}

/**
 * `models/`: the union of the hosts' stores. A file that is created there is created on our own host.
 */
export function modelsDirectory(o: StoresOptions & { owner: Owner; clock: Clock }): File {
  const { hosts, local, owner, clock } = o
  const storeOf = async (member: Member, ctx: Parameters<NonNullable<File['walk']>>[1]) =>
    await member.peer.root.walk?.('models', ctx)
  const lazily = (member: Member): File => ({
    ...member.peer.root,
    qid: member.peer.root.qid,
    attributes: ctx => member.peer.root.attributes(ctx),
    walk: async (name, ctx) => (await storeOf(member, ctx))?.walk?.(name, ctx),
    open: async (mode, ctx) => {
      const store = await storeOf(member, ctx)
      if (!store) throw fail('notFound', 'models')
      return store.open(mode, ctx)
    },
  })
  return {
    ...union(() => stores(o).map(lazily), owner, 0o775, clock),
    create: async (name, perm, mode, ctx): Promise<Created> => {
      const [first] = stores(o)
      const own = first && hosts.machineOf(first) === local ? await storeOf(first, ctx) : undefined
      if (own?.create) return own.create(name, perm, mode, ctx)
      const other = first?.name ?? 'worker-NNNN'
      throw fail('notPermitted', `no worker is on this machine; write to ${other}/models/${name}`)
    },
  }
}
