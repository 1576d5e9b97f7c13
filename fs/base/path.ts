/** Paths as lists of names. */

/** The names of a path. Slashes at its ends and doubled slashes do not count. */
export const namesOf = (path: string): string[] => path.split('/').filter(name => name !== '')

/** The names of the place to which `names` lead from the place `from`; `..` at the root stays there. */
export function resolve(from: readonly string[], names: readonly string[]): string[] {
  const out = [...from]
  for (const name of names) {
    if (name === '..') out.pop()
    else if (name !== '.') out.push(name)
  }
  return out
}

/** Returns the absolute path without `.`, `..` and doubled slashes; `..` at the root stays there. */
export const clean = (path: string): string => `/${resolve([], namesOf(path)).join('/')}`

/** Whether `path` is `dir` or below it; both are clean. */
export const isWithin = (path: string, dir: string): boolean =>
  dir === '/' || path === dir || path.startsWith(`${dir}/`)
