import { randomUUID } from 'node:crypto'
import { mkdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fail } from '../../fs/errors.js'
import { placePrivate, readPrivate } from './private.js'

/**
 * Who this user's server or host is for other machines: a UUID made at the first start and kept in a file of the state directory.
 * @throws FsError where the file holds none
 */
export function nodeId(dir: string, file = 'id'): string {
  const path = join(dir, file)
  mkdirSync(dir, { recursive: true, mode: 0o700 })
  if (!statSync(path, { throwIfNoEntry: false })) placePrivate(path, `${randomUUID()}\n`)
  const id = readPrivate(path).trim()
  if (!uuid.test(id)) throw fail('badArgument', `${path} holds no UUID: rm ${path}`)
  return id
}

export const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
