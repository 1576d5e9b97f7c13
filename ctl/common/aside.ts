/** Files that a program of ours kept for its successor and that cannot be read as what they are. */
import { renameSync } from 'node:fs'
import { basename } from 'node:path'
import { DAMAGED } from '../../cluster/orchestrator/saved.js'
import { explain } from './exit.js'

/** Gets what was set aside: the name it has now, and what was wrong with it. */
export type OnDamaged = (kept: string, why: string) => void

/** Renames a file to NAME.damaged, where no start looks for it and a person finds it. */
export const setAside = (path: string): void => renameSync(path, `${path}${DAMAGED}`)

/** Sets a damaged file aside and says so. Where that fails, this is said instead: a start goes on without the file. */
export function keepAside(path: string, why: unknown, onDamaged: OnDamaged): void {
  const name = basename(path)
  try {
    setAside(path)
    onDamaged(`${name}${DAMAGED}`, explain(why))
  } catch (error) {
    onDamaged(name, `${explain(why)}; ${explain(error)}`)
  }
}
