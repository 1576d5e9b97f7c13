import { dirname } from 'node:path'
import type { Field } from '../../api/field.js'
import { MAX_FILE } from '../../api/runtime.js'
import { json } from '../../api/text.js'
import { checkPlace } from '../../fs/place.js'
import { keepAside, type OnDamaged } from './aside.js'
import { readBounded } from './bounded.js'
import { replacePrivate } from './private.js'

/**
 * What a JSON file in a directory of our own holds, if it is what it should be; undefined where there is none, it cannot be read, or it
 * is not.
 * @param onDamaged given by the program that wrote the file and starts again: a file that is damaged is set aside then
 * @throws FsError where another user could have put it there
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

/** Replaces a JSON file, whole or not at all, for its owner alone. */
export function writeJson(path: string, value: object): void {
  replacePrivate(path, `${JSON.stringify(value, null, 2)}\n`)
}
