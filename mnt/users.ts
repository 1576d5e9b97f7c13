import { readFileSync } from 'node:fs'

const names = new Map<number, string>()

/** The name of a uid as /etc/passwd has it, read again for a number not seen before; the number as text if it has none. */
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
    // a container without the file: the number does
  }
  names.set(uid, name)
  return name
}
