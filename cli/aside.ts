/** Renames damaged files that one of our programs left for its next start, so that a person can find them. */
import { existsSync, renameSync } from 'node:fs'
import { basename } from 'node:path'
import { DAMAGED } from '../api/runtime.js'
import { explain } from './exit.js'

/** Called with the name that a damaged file has now and with what was wrong with it. */
export type OnDamaged = (kept: string, why: string) => void

/**
 * How many older damaged files of one name are kept besides the newest. NAME.damaged.1 is the one before the newest.
 */
const OLDER = 4
/** Whether a name is that of a damaged file that was renamed. */
export const isAside = (name: string): boolean => /\.damaged(\.[1-9])?$/.test(name)

/**
 * Renames a file to NAME.damaged, where no start looks for it and a person finds it. An earlier NAME.damaged becomes
 * NAME.damaged.1, and so on; the oldest of five is deleted.
 */
export function setAside(path: string): void {
  const names = [path, `${path}${DAMAGED}`, ...Array.from({ length: OLDER }, (_, i) => `${path}${DAMAGED}.${i + 1}`)]
  let free = names.findIndex((name, i) => i > 0 && !existsSync(name))
  if (free < 0) free = names.length - 1
  for (; free > 0; free--) renameSync(names[free - 1]!, names[free]!)
}

/**
 * Renames a damaged file and reports it. Where the renaming fails, that is reported instead. In both cases the start
 * goes on without the file.
 */
export function keepAside(path: string, why: unknown, onDamaged: OnDamaged): void {
  const name = basename(path)
  try {
    setAside(path)
    onDamaged(`${name}${DAMAGED}`, explain(why))
  } catch (error) {
    onDamaged(name, `${explain(why)}; ${explain(error)}`)
  }
}
