import { rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Of } from '../../api/field.js'
import { joinFile } from '../../api/runtime.js'
import type { Written } from '../../api/written.js'
import type { OnDamaged } from './aside.js'
import { readJson, writeJson } from './jsonfile.js'
import { runtimeDir } from './paths.js'

/** `join.json` in the runtime directory: the cluster that this user's machine has joined. A server of his may run besides. */
export type JoinFile = Of<typeof joinFile>

const path = (env: NodeJS.ProcessEnv) => join(runtimeDir(env), 'join.json')

/**
 * What the file says, whether or not that process still lives; undefined where there is none or it cannot be read.
 * @throws FsError where another user could have put it there
 */
export const readJoinFile = (env: NodeJS.ProcessEnv, onDamaged?: OnDamaged): JoinFile | undefined =>
  readJson(path(env), joinFile, onDamaged)

export const writeJoinFile = (file: Written<JoinFile>, env: NodeJS.ProcessEnv): void => writeJson(path(env), file)

export const removeJoinFile = (env: NodeJS.ProcessEnv): void => rmSync(path(env), { force: true })
