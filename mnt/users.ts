/** Names of users by their number. */
import { readFileSync } from 'node:fs'

const names = new Map<number, string>()

/**
 * The name of a uid in /etc/passwd, which is read again for each uid not seen before; the number as text if it has no
 * name there.
 */
export function userName(uid: number): string {
  const known = names.get(uid)
  if (known !== undefined) return known
  let name = String(uid)
  try {
    for (const line of readFileSync('/etc/passwd', 'utf8').split('\n')) {
      const [user, , number] = line.split(':')
      if (user && number === String(uid)) {
        name = user
        break
      }
    }
  } catch {
    // a container may lack the file; the number is used then
  }
  names.set(uid, name)
  return name
}
