/** Files that a program of ours kept for its successor and that cannot be read as what they are. */
import { existsSync, renameSync } from 'node:fs'
import { basename } from 'node:path'
import { DAMAGED } from '../../cluster/orchestrator/saved.js'
import { explain } from './exit.js'

/** Gets what was set aside: the name it has now, and what was wrong with it. */
export type OnDamaged = (kept: string, why: string) => void

/** Older damaged files of one name that are kept besides the newest: NAME.damaged.1 is the one before it. */
const OLDER = 4
/** The names of files that were set aside. */
export const isAside = (name: string): boolean => /\.damaged(\.[1-9])?$/.test(name)

/**
 * Renames a file to NAME.damaged, where no start looks for it and a person finds it. One that was set aside before under that name
 * becomes NAME.damaged.1, and so on; the oldest of five goes.
 */
export function setAside(path: string): void {
  const names = [path, `${path}${DAMAGED}`, ...Array.from({ length: OLDER }, (_, i) => `${path}${DAMAGED}.${i + 1}`)]
  let free = names.findIndex((name, i) => i > 0 && !existsSync(name))
  if (free < 0) free = names.length - 1
  for (; free > 0; free--) renameSync(names[free - 1]!, names[free]!)
}

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
