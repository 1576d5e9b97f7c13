/** Paths of the namespace: how people write them and how they are shown. */
import { join } from 'node:path'
import { isWithin, namesOf, resolve } from '../fs/base/path.js'
import { home, ownTemporary } from './account.js'

/** Where the namespace is mounted by convention. */
export const MOUNT = '/n/llambo'
/** Where it is mounted for a user who may not create that directory. */
export const homeMount = (env: NodeJS.ProcessEnv): string => join(home(env) ?? ownTemporary(), 'n', 'llambo')

/**
 * Splits a path of the namespace into its names. `/n/llambo/data`, `/data` and `data` mean the same file, and so does
 * its path below any of `mounts`. `..` never goes above the root.
 */
export function names(path: string, mounts: readonly string[]): string[] {
  const mount = mounts.find(mount => isWithin(path, mount))
  return resolve([], namesOf(path.slice(mount?.length ?? 0)))
}

/** A path as messages show it, however it was given: as a person would type it in a shell. */
export const shown = (path: readonly string[]): string => [MOUNT, ...path].join('/')
