import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Of } from '../../api/field.js'
import { serverFile } from '../../api/runtime.js'
import type { Written } from '../../api/written.js'
import type { OnDamaged } from './aside.js'
import { readJson, writeJson } from './jsonfile.js'
import { runtimeDir } from './paths.js'

/** `server.json` in the runtime directory: the server of this user that is running, for the tools that look for it. */
export type ServerFile = Of<typeof serverFile>

const path = (env: NodeJS.ProcessEnv) => join(runtimeDir(env), 'server.json')

/** State and time of birth of a process (fields 3 and 22 of /proc/PID/stat); nothing where there is none or no /proc. */
function statOf(pid: number): { state?: string | undefined; born?: string | undefined } {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return { state: fields[0], born: fields[19] }
  } catch {
    return {}
  }
}

/** When a process began; undefined where there is no such process or no /proc. */
export const bornAt = (pid: number): string | undefined => statOf(pid).born

/** Whether that process is running: there, the same one as then, and not dead with nobody to bury it (a container without an init). */
export function isAlive({ pid, born }: { readonly pid: number; readonly born?: string | undefined }): boolean {
  try {
    process.kill(pid, 0)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false
  }
  const now = statOf(pid)
  return now.state !== 'Z' && (born === undefined || now.born === born)
}

/** Whether it can be a process's number. */
export const isPid = (pid: unknown): boolean => Number.isInteger(pid) && (pid as number) > 0

/**
 * What the file says, whether or not that server still lives; undefined where there is none or it cannot be read.
 * @throws FsError where another user could have put it there
 */
export const readServerFile = (env: NodeJS.ProcessEnv, onDamaged?: OnDamaged): ServerFile | undefined =>
  readJson(path(env), serverFile, onDamaged)

/** The user's own server if it runs; undefined also where its file cannot be trusted: for what works without. */
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
