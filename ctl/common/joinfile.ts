import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
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

/** What the file says, whether or not that process still lives; undefined where there is none or it cannot be read. */
export function readJoinFile(env: NodeJS.ProcessEnv): JoinFile | undefined {
  try {
    const file = JSON.parse(readFileSync(path(env), 'utf8')) as JoinFile
    return Number.isInteger(file.pid) && file.pid > 0 && typeof file.address === 'string' ? file : undefined
  } catch {
    return undefined
  }
}

export function writeJoinFile(file: JoinFile, env: NodeJS.ProcessEnv): void {
  const target = path(env)
  writeFileSync(`${target}.new`, `${JSON.stringify(file, null, 2)}\n`, { mode: 0o600 })
  renameSync(`${target}.new`, target)
}

export const removeJoinFile = (env: NodeJS.ProcessEnv): void => rmSync(path(env), { force: true })
