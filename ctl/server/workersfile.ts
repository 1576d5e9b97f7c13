/**
 * `workers.json`: the record of the workers of a host, with which the next host takes them over where this one is
 * killed.
 */

import type { Field } from '../../api/field.js'
import { DEFAULT_CLASS } from '../../api/report.js'
import { workersFile } from '../../api/runtime.js'
import type { OnDamaged } from '../../cli/aside.js'
import { readJson, writeJson } from '../../cli/jsonfile.js'
import type { Config } from '../../cli/settings.js'
import type { WorkerRecord } from '../../cluster/host/process.js'

/** `workers.json` in the runtime directory: the workers that a host runs. */
interface WorkersFile {
  /** The settings that the workers were started with. A host with other settings cannot use them. */
  readonly config: Config
  /** How many workers of the default class were asked for at the start. More may have been spawned later. */
  readonly asked: number
  readonly workers: readonly WorkerRecord[]
}

/**
 * Reads the workers of a host that was killed.
 * @param asked how many workers of the default class are asked for now
 * @returns `same`: the workers to take over; `other`: those to end, because the settings differ or fewer are asked for.
 *   Both are empty where there is no such file
 */
export function readWorkersFile(
  path: string,
  config: Config,
  asked: number,
  onDamaged: OnDamaged,
): { same: readonly WorkerRecord[]; other: readonly WorkerRecord[] } {
  const file = readJson<WorkersFile>(path, workersFile as Field<WorkersFile>, onDamaged)
  const workers = file?.workers ?? []
  if (JSON.stringify(file?.config) !== JSON.stringify(config)) return { same: [], other: workers }
  const fewer = Math.max(0, (file?.asked ?? 0) - asked)
  const plain = workers.filter(worker => worker.class.name === DEFAULT_CLASS)
  const other = plain.slice(plain.length - Math.min(fewer, plain.length))
  return { same: workers.filter(worker => !other.includes(worker)), other }
}

export const writeWorkersFile = (path: string, file: WorkersFile): void => writeJson(path, file)
