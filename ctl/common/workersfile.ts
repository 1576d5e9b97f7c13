import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import type { WorkerRecord } from '../../cluster/host/process.js'
import type { Config } from './settings.js'

/** `workers.json` in the runtime directory: the workers that a host runs, for the next one, should this one be killed. */
interface WorkersFile {
  /** The settings they were started with: with others they are no longer what is wanted. */
  readonly config: Config
  readonly workers: readonly WorkerRecord[]
}

/**
 * The workers of a host that was killed.
 * @returns those to go on with, and those that other settings have made useless; none where there is no such file
 */
export function readWorkersFile(
  path: string,
  config: Config,
): { same: readonly WorkerRecord[]; other: readonly WorkerRecord[] } {
  try {
    const file = JSON.parse(readFileSync(path, 'utf8')) as WorkersFile
    const workers = file.workers.filter(({ pid, id }) => Number.isInteger(pid) && pid > 0 && typeof id === 'string')
    const same = JSON.stringify(file.config) === JSON.stringify(config)
    return same ? { same: workers, other: [] } : { same: [], other: workers }
  } catch {
    return { same: [], other: [] }
  }
}

export function writeWorkersFile(path: string, config: Config, workers: readonly WorkerRecord[]): void {
  const file: WorkersFile = { config, workers }
  writeFileSync(`${path}.new`, `${JSON.stringify(file, null, 2)}\n`, { mode: 0o600 })
  renameSync(`${path}.new`, path)
}
