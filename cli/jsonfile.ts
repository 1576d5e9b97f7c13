/** Reads and writes the JSON files that our programs leave for one another. */
import { dirname } from 'node:path'
import type { Field } from '../api/field.js'
import { MAX_FILE } from '../api/runtime.js'
import { json } from '../api/text.js'
import { checkPlace } from '../fs/place.js'
import { keepAside, type OnDamaged } from './aside.js'
import { readBounded } from './bounded.js'
import { replacePrivate } from './private-file.js'

/**
 * Reads a JSON file in a directory of our own.
 * @returns undefined where the file is missing, unreadable or not valid by
 * `of`
 * @param onDamaged given by the program that owns the file, when it starts: a damaged file is then renamed and reported
 * @throws FsError where another user could have put the file there
 */
export function readJson<T>(path: string, of: Field<T>, onDamaged?: OnDamaged): T | undefined {
  checkPlace(dirname(path))
  try {
    return of(json(readBounded(path, 4 * MAX_FILE), path, MAX_FILE), path)
  } catch (error) {
    if (onDamaged && (error as NodeJS.ErrnoException).code !== 'ENOENT') keepAside(path, error, onDamaged)
    return undefined
  }
}

/** Replaces a JSON file atomically; only its owner can read it. */
export function writeJson(path: string, value: object): void {
  replacePrivate(path, `${JSON.stringify(value, null, 2)}\n`)
}
