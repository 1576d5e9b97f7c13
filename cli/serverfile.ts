/** `server.json`: the record of the user's running server, and whether that server still runs. */
import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Of } from '../api/field.js'
import { serverFile } from '../api/runtime.js'
import type { Written } from '../api/written.js'
import type { OnDamaged } from './aside.js'
import { readJson, writeJson } from './jsonfile.js'
import { runtimeDir } from './paths.js'

/** `server.json` in the runtime directory: the running server of this user, for the tools that look for it. */
export type ServerFile = Of<typeof serverFile>

const path = (env: NodeJS.ProcessEnv) => join(runtimeDir(env), 'server.json')

/**
 * The state and start time of a process (fields 3 and 22 of /proc/PID/stat); empty where there is no such process or no
 * /proc.
 */
function statOf(pid: number): { state?: string | undefined; born?: string | undefined } {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return { state: fields[0], born: fields[19] }
  } catch {
    return {}
  }
}

/** When a process started, in clock ticks since boot; undefined where there is no such process or no /proc. */
export const bornAt = (pid: number): string | undefined => statOf(pid).born

/**
 * Whether a process is running: it exists, it is not another process with the same number (by `born`), and it is not a
 * zombie, which stays for ever in a container without an init.
 */
export function isAlive({ pid, born }: { readonly pid: number; readonly born?: string | undefined }): boolean {
  try {
    process.kill(pid, 0)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false
  }
  const now = statOf(pid)
  return now.state !== 'Z' && (born === undefined || now.born === born)
}

/** Whether a value can be the number of a process. */
export const isPid = (pid: unknown): boolean => Number.isInteger(pid) && (pid as number) > 0

/**
 * Reads the file, whether or not the server still runs.
 * @returns undefined where the file is missing or invalid
 * @throws FsError where another user could have put the file there
 */
export const readServerFile = (env: NodeJS.ProcessEnv, onDamaged?: OnDamaged): ServerFile | undefined =>
  readJson(path(env), serverFile, onDamaged)

/**
 * The user's own server if it runs. Undefined also where its file cannot be trusted: for callers that can do without.
 */
export function runningServer(env: NodeJS.ProcessEnv): ServerFile | undefined {
  try {
    const file = readServerFile(env)
    return file && isAlive(file) ? file : undefined
  } catch {
    return undefined
  }
}

export const writeServerFile = (file: Written<ServerFile>, env: NodeJS.ProcessEnv): void => writeJson(path(env), file)

export const removeServerFile = (env: NodeJS.ProcessEnv): void => rmSync(path(env), { force: true })
