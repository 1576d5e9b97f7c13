import { randomUUID } from 'node:crypto'
import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { newSecret, paired } from '../../cluster/secret.js'
import { privateDir, stateDir } from '../common/paths.js'

/** Who this machine is to a cluster that it joins. */
export interface Identity {
  readonly id: string
  /** What proves it: shown to the cluster alone, over a connection that we opened. */
  readonly secret: string
}

/**
 * This machine's id for good, and the secret that proves it, kept beside each other in the state directory (`host-id`, `host-secret`).
 * They are made together: where one is lost the machine is another one from then on.
 */
export function machineIdentity(env: NodeJS.ProcessEnv, file = 'host-id'): Identity {
  const path = join(privateDir(stateDir(env)), file)
  const beside = path.replace(/-id$/, '-secret')
  const id = read(path).trim()
  const secret = paired(id, read(beside))
  if (/^[0-9a-f-]{36}$/.test(id) && secret !== undefined) return { id, secret }
  const made = { id: randomUUID(), secret: newSecret() }
  write(beside, `${made.id} ${made.secret}\n`)
  write(path, `${made.id}\n`)
  return made
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8').slice(0, 256)
  } catch {
    // the first start
    return ''
  }
}

function write(path: string, text: string): void {
  writeFileSync(`${path}.new`, text, { mode: 0o600 })
  renameSync(`${path}.new`, path)
}
