import { rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Field } from '../../api/field.js'
import { joinFile } from '../../api/runtime.js'
import type { OnDamaged } from './aside.js'
import { readJson, writeJson } from './jsonfile.js'
import { runtimeDir } from './paths.js'
import type { ServerFile } from './serverfile.js'

/** `join.json` in the runtime directory: the cluster that this user's machine has joined. A server of his may run besides. */
export interface JoinFile extends Pick<ServerFile, 'pid' | 'born' | 'started'> {
  /** Where it joined. */
  readonly address: string
  /** Tells its cluster and token from others: SHA-256 of both. */
  readonly upstream: string
}

const path = (env: NodeJS.ProcessEnv) => join(runtimeDir(env), 'join.json')

/**
 * What the file says, whether or not that process still lives; undefined where there is none or it cannot be read.
 * @throws FsError where another user could have put it there
 */
export const readJoinFile = (env: NodeJS.ProcessEnv, onDamaged?: OnDamaged): JoinFile | undefined =>
  readJson<JoinFile>(path(env), joinFile as Field<JoinFile>, onDamaged)

export const writeJoinFile = (file: JoinFile, env: NodeJS.ProcessEnv): void => writeJson(path(env), file)

export const removeJoinFile = (env: NodeJS.ProcessEnv): void => rmSync(path(env), { force: true })
