import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { newSecret, paired } from '../../cluster/secret.js'
import { keepAside, type OnDamaged } from '../common/aside.js'
import { readBounded } from '../common/bounded.js'
import { privateDir, stateDir } from '../common/paths.js'
import { replacePrivate } from '../common/private.js'

/** Bytes of either file: an id and a secret. */
const MAX_FILE = 256

/** Who this machine is to a cluster that it joins. */
export interface Identity {
  readonly id: string
  /** What proves it: shown to the cluster alone, over a connection that we opened. */
  readonly secret: string
}

/**
 * This machine's id for good, and the secret that proves it, kept beside each other in the state directory (`host-id`, `host-secret`).
 * They are made together: where one is lost the machine is another one from then on.
 * @param onDamaged gets what is there and is no id or no secret of it: it is set aside
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

/** The text of a file; undefined where there is none, empty where it cannot be read. */
function read(path: string): string | undefined {
  try {
    return readBounded(path, MAX_FILE)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT' ? undefined : ''
  }
}
