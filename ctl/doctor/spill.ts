/** The `spill` check of doctor: whether long answers and transcripts can be written to the disk. */
import { accessSync, constants, existsSync, statfsSync } from 'node:fs'
import { dirname } from 'node:path'
import { type Metric, metricOf } from '../../api/metrics.js'
import { readText } from '../../cli/files.js'
import { bytes } from '../../cli/output.js'
import { spillDir } from '../../cli/paths.js'
import { runningServer } from '../../cli/serverfile.js'
import { MAX_SPILL, SPILL_SHARE } from '../../cluster/root/limits.js'
import { timeLimit } from '../../fs/base/clock.js'
import { interruptible } from '../../fs/base/interruptible.js'
import type { Finding } from './finding.js'
import { withTree } from './tree.js'

/** How long the server may take to answer, in ms. */
const ASK_MS = 10_000
/** Fewer bytes than this are too few to be useful: four of the longest answers. */
const FEW = 64e6

const inMemory = 'long answers and transcripts stay in memory'

/** Asks a running server whether it can write them; where none runs, looks at the disk. */
export async function spill(env: NodeJS.ProcessEnv): Promise<Omit<Finding, 'name'>> {
  const dir = spillDir(env)
  const address = runningServer(env)?.addresses[0]
  if (address !== undefined) {
    const signal = timeLimit(ASK_MS)
    const metrics = await interruptible(
      withTree(address, signal, root => readText(root, ['metrics'], signal)),
      signal,
    )
    const value = (name: Metric) => metricOf(metrics, name) ?? 0
    const used = `${bytes(value('llambo_spill_used_bytes'))} of ${bytes(value('llambo_spill_limit_bytes'))}`
    if (value('llambo_spill_failing') === 0)
      return { state: 'ok', says: `${used} of answers and transcripts in ${dir}` }
    return {
      state: 'note',
      says: `cannot write more to ${dir} (${used} there): ${inMemory}`,
      remedy:
        'the event not-spilled says why; free some space on that disk, remove tasks (rm -r task/N), or set XDG_STATE_HOME',
    }
  }
  let there = dir
  while (!existsSync(there) && there !== dirname(there)) there = dirname(there)
  const remedy = 'free some space on that disk, or set XDG_STATE_HOME to a directory on another one'
  try {
    accessSync(there, constants.W_OK)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    return { state: 'note', says: `cannot write to ${there} (${code}): ${inMemory}`, remedy }
  }
  const { bavail, bsize } = statfsSync(there)
  const room = Math.min(MAX_SPILL, bavail * bsize * SPILL_SHARE)
  if (room >= FEW) return { state: 'ok', says: `up to ${bytes(room)} of answers and transcripts in ${dir}` }
  return { state: 'note', says: `${bytes(bavail * bsize)} free in ${there}: most ${inMemory}`, remedy }
}
