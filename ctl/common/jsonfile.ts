import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { checkPlace } from '../../fs/place.js'

/**
 * What a JSON file in a directory of our own holds, if it is what it should be; undefined where there is none, it cannot be read, or it
 * is not. @throws FsError where another user could have put it there
 */
export function readJson<T>(path: string, is: (value: T) => boolean): T | undefined {
  checkPlace(dirname(path))
  try {
    const value = JSON.parse(readFileSync(path, 'utf8')) as T
    return is(value) ? value : undefined
  } catch {
    return undefined
  }
}

/** Replaces a JSON file, whole or not at all, for its owner alone. */
export function writeJson(path: string, value: object): void {
  writeFileSync(`${path}.new`, `${JSON.stringify(value, null, 2)}\n`, { mode: 0o600 })
  renameSync(`${path}.new`, path)
}
