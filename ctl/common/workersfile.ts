import type { WorkerRecord } from '../../cluster/host/process.js'
import { readJson, writeJson } from './jsonfile.js'
import { isPid } from './serverfile.js'
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
  const file = readJson<WorkersFile>(path, ({ workers }) => Array.isArray(workers))
  const workers = (file?.workers ?? []).filter(({ pid, id }) => isPid(pid) && typeof id === 'string')
  const same = JSON.stringify(file?.config) === JSON.stringify(config)
  return same ? { same: workers, other: [] } : { same: [], other: workers }
}

export const writeWorkersFile = (path: string, config: Config, workers: readonly WorkerRecord[]): void =>
  writeJson(path, { config, workers } satisfies WorkersFile)
