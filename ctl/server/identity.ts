/** This machine's identity as a host: an id and the secret that proves it. */
import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { keepAside, type OnDamaged } from '../../cli/aside.js'
import { readBounded } from '../../cli/bounded.js'
import { privateDir, stateDir } from '../../cli/paths.js'
import { replacePrivate } from '../../cli/private-file.js'
import { newSecret, paired } from '../../cluster/secret.js'

/** The most bytes of either file, which hold an id and a secret. */
const MAX_FILE = 256

/** The identity of this machine in a cluster that it joins. */
export interface Identity {
  readonly id: string
  /** Proves the id. It is shown only to the cluster, over a connection that this machine opened. */
  readonly secret: string
}

/**
 * Reads this machine's permanent id and secret from the state directory (`host-id`, `host-secret`), or makes them. They
 * are made together: where one of them is lost, the machine gets a new identity.
 * @param onDamaged called for a file that does not hold an id, or not the secret of the id; the file is renamed
 */
export function machineIdentity(
  env: NodeJS.ProcessEnv,
  file = 'host-id',
  onDamaged: OnDamaged = () => undefined,
): Identity {
  const path = join(privateDir(stateDir(env)), file)
  const beside = path.replace(/-id$/, '-secret')
  const [was, proof] = [read(path), read(beside)]
  const id = was?.trim() ?? ''
  const fit = /^[0-9a-f-]{36}$/.test(id)
  const secret = paired(id, proof)
  if (fit && secret !== undefined) return { id, secret }
  if (was !== undefined && !fit) keepAside(path, new Error('not an id'), onDamaged)
  if (proof !== undefined && secret === undefined) keepAside(beside, new Error('not the secret of the id'), onDamaged)
  const made = { id: randomUUID(), secret: newSecret() }
  replacePrivate(beside, `${made.id} ${made.secret}\n`)
  replacePrivate(path, `${made.id}\n`)
  return made
}

/** Reads a file; undefined where it does not exist, empty where it cannot be read. */
function read(path: string): string | undefined {
  try {
    return readBounded(path, MAX_FILE)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT' ? undefined : ''
  }
}
