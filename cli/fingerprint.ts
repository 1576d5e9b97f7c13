/** Fingerprints of certificates: how they are read, and which one a server must have. */
import { variable } from '../api/environment.js'
import { fail } from '../api/errors.js'
import { isLoopback } from '../fs/host-name.js'
import { runningServer } from './serverfile.js'

/**
 * Reads a fingerprint as people type it, also as openssl(1) prints it: in upper case, with colons.
 * @returns `sha256:` and 64 hexadecimal digits in lower case
 * @throws FsError `bad argument`
 */
export function parseFingerprint(text: string): string {
  const hex = text.replace(/^sha-?256( fingerprint)?[:=]/i, '').replace(/:/g, '')
  if (!/^[0-9a-f]{64}$/i.test(hex))
    throw fail('badArgument', `fingerprint ${text}: expected sha256: and 64 hexadecimal digits`)
  return `sha256:${hex.toLowerCase()}`
}

/**
 * The fingerprint of the certificate that a wss server must have: that of `$LLAMBO_FINGERPRINT`, else, for an address
 * of this machine, that of the user's own server. Undefined where an authority has to vouch for the certificate, and
 * where the address is not wss.
 * @throws FsError `bad argument` where the variable does not hold a fingerprint
 */
export function ownFingerprint(env: NodeJS.ProcessEnv, address: string): string | undefined {
  if (!address.startsWith('wss:')) return undefined
  const given = variable(env, 'LLAMBO_FINGERPRINT')
  if (given !== undefined) return parseFingerprint(given)
  return isLoopback(new URL(address).hostname) ? runningServer(env)?.fingerprint : undefined
}
