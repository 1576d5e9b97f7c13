import { readFileSync } from 'node:fs'
import type { Attaching } from '../../fs/attach.js'
import { fail } from '../../fs/errors.js'
import type { User } from '../../fs/file.js'
import { NONUNAME } from '../../fs/protocol.js'
import { account } from '../common/account.js'

/** Name and number of every account in passwd(5); an empty list where there is no such file. */
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

/** The account that this process runs as: the owner of what it serves. */
export function self(): User {
  const { name, uid } = account()
  return { name, uid: uid === -1 ? NONUNAME : uid, role: 'admin' }
}

/**
 * Who attaches where the name is believed: over a unix socket that only we and root can reach. The number, where one is
 * given, decides, for a mount attaches with the number of whoever opened a file. We and root are admins, all others are users.
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
 * Who attaches over a connection that we made, so that the other end is our cluster: it is believed whom it asks for, and
 * what he may do, which is what the attach option `role` says (`/?role=admin`), or else to use.
 */
export function parentsUser({ uname, n_uname, options }: Pick<Attaching, 'uname' | 'n_uname' | 'options'>): User {
  const role = options.get('role') ?? 'use'
  if (!roles.has(role)) throw fail('badArgument', `role ${role}: ${[...roles].join(', ')}`)
  return { name: uname || 'none', uid: n_uname, role: role as User['role'], relayed: true }
}
