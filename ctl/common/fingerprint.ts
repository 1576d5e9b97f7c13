import { variable } from '../../api/environment.js'
import { fail } from '../../fs/errors.js'
import { isLoopback } from '../../mnt/exposure.js'
import { runningServer } from './serverfile.js'

/** A fingerprint as people give it, also as openssl(1) writes it: upper case, with colons. @throws FsError `bad argument` */
export function parseFingerprint(text: string): string {
  const hex = text.replace(/^sha-?256( fingerprint)?[:=]/i, '').replace(/:/g, '')
  if (!/^[0-9a-f]{64}$/i.test(hex)) throw fail('badArgument', `fingerprint ${text}: sha256: and 64 hexadecimal digits`)
  return `sha256:${hex.toLowerCase()}`
}

/**
 * The certificate that our own tools want a wss server to have: the one of `$LLAMBO_FINGERPRINT`, else, on this machine, the
 * one that the user's own server shows. Without, one that an authority vouches for.
 * @throws FsError `bad argument` for a variable that holds none
 */
export function ownFingerprint(env: NodeJS.ProcessEnv, address: string): string | undefined {
  if (!address.startsWith('wss:')) return undefined
  const given = variable(env, 'LLAMBO_FINGERPRINT')
  if (given !== undefined) return parseFingerprint(given)
  return isLoopback(new URL(address).hostname) ? runningServer(env)?.fingerprint : undefined
}
