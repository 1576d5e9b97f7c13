/** `join.json`: the record of the process with which this machine has joined a cluster. */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Of } from '../api/field.js'
import { joinFile } from '../api/runtime.js'
import type { Written } from '../api/written.js'
import type { OnDamaged } from './aside.js'
import { readJson, writeJson } from './jsonfile.js'
import { runtimeDir } from './paths.js'

/**
 * `join.json` in the runtime directory: the cluster that this machine has joined. A server of the same user may run at
 * the same time.
 */
export type JoinFile = Of<typeof joinFile>

const path = (env: NodeJS.ProcessEnv) => join(runtimeDir(env), 'join.json')

/**
 * Reads the file, whether or not the process still runs.
 * @returns undefined where the file is missing or invalid
 * @throws FsError where another user could have put the file there
 */
export const readJoinFile = (env: NodeJS.ProcessEnv, onDamaged?: OnDamaged): JoinFile | undefined =>
  readJson(path(env), joinFile, onDamaged)

export const writeJoinFile = (file: Written<JoinFile>, env: NodeJS.ProcessEnv): void => writeJson(path(env), file)

export const removeJoinFile = (env: NodeJS.ProcessEnv): void => rmSync(path(env), { force: true })
