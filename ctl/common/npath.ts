import { join } from 'node:path'
import { home, ownTemporary } from './account.js'

/** The mount point of the design, and the one of a user who may not make that. */
export const MOUNT = '/n/llambo'
export const homeMount = (env: NodeJS.ProcessEnv): string => join(home(env) ?? ownTemporary(), 'n', 'llambo')

/**
 * A path in the namespace as its names. `/n/llambo/data`, `/data` and `data` mean the same file, and so does the path in any
 * of `mounts`; `..` goes no higher than the root.
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

/** Whether `path` is `mount` or below it: what tells a file in the namespace from one on disk. */
export const within = (path: string, mount: string): boolean => path === mount || path.startsWith(`${mount}/`)

/** How a path is shown, whatever way it was given: as a person would type it in a shell. */
export const shown = (path: readonly string[]): string => [MOUNT, ...path].join('/')
