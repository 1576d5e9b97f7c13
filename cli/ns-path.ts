/** Paths of the namespace: how people write them and how they are shown. */
import { join } from 'node:path'
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
  const mount = mounts.find(mount => within(path, mount))
  const out: string[] = []
  for (const name of path.slice(mount?.length ?? 0).split('/')) {
    if (name === '..') out.pop()
    else if (name !== '' && name !== '.') out.push(name)
  }
  return out
}

/** Whether `path` is `mount` or below it. This tells a file of the namespace from a file on disk. */
export const within = (path: string, mount: string): boolean => path === mount || path.startsWith(`${mount}/`)

/** A path as messages show it, however it was given: as a person would type it in a shell. */
export const shown = (path: readonly string[]): string => [MOUNT, ...path].join('/')
