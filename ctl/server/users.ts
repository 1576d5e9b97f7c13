/** The users that attach: who they are and what they may do. */
import { readFileSync } from 'node:fs'
import { fail } from '../../api/errors.js'
import { account } from '../../cli/account.js'
import type { User } from '../../fs/file.js'
import type { Attaching } from '../../fs/server/attach.js'
import { NONUNAME } from '../../fs/wire/protocol.js'

/** The name and number of every account in /etc/passwd (passwd(5)); an empty list where there is no such file. */
function accounts(): { name: string; uid: number }[] {
  try {
    return readFileSync('/etc/passwd', 'utf8')
      .split('\n')
      .map(line => line.split(':'))
      .flatMap(([name, , uid]) => (name && uid ? [{ name, uid: Number(uid) }] : []))
  } catch {
    return []
  }
}

/** The user that this process runs as, who owns what it serves. */
export function self(): User {
  const { name, uid } = account()
  return { name, uid: uid === -1 ? NONUNAME : uid, role: 'admin' }
}

/**
 * The user of an attach whose name is trusted: over a unix socket that only this user and root can reach. The number
 * decides where one is given, because a mount attaches with the number of the user who opened a file. This user and
 * root are admins, all others are users.
 */
export function userOf({ uname, n_uname }: { uname: string; n_uname: number }): User {
  const list = accounts()
  const own = self()
  if (n_uname === NONUNAME) {
    const uid =
      uname === own.name || uname === '' ? own.uid : (list.find(({ name }) => name === uname)?.uid ?? NONUNAME)
    return user(uname || own.name, uid, own)
  }
  const known = n_uname === own.uid ? own.name : list.find(({ uid }) => uid === n_uname)?.name
  return user(known ?? (uname || `uid-${n_uname}`), n_uname, own)
}

const user = (name: string, uid: number, own: User): User => ({
  name,
  uid,
  role: uid === 0 || (uid === own.uid && uid !== NONUNAME) || name === own.name ? 'admin' : 'use',
})

const roles = new Set(['admin', 'use', 'read'])

/**
 * The user of an attach over a connection that this process opened. The other end is then our cluster, and its word for
 * the user and the role is trusted. The attach option `role` gives the role (`/?role=admin`); without it the role is
 * `use`.
 * @throws FsError `bad argument` for an unknown role
 */
export function parentsUser({ uname, n_uname, options }: Pick<Attaching, 'uname' | 'n_uname' | 'options'>): User {
  const role = options.get('role') ?? 'use'
  if (!roles.has(role)) throw fail('badArgument', `no role "${role}"; roles: ${[...roles].join(' ')}`)
  return { name: uname || 'none', uid: n_uname, role: role as User['role'], relayed: true }
}
