/** The `workers` check of doctor: how workers of this user's server last ended, as their hosts report it. */

import { hostStatus, status } from '../../api/status.js'
import { entries, readText } from '../../cli/files.js'
import { NOT_RUNNING } from '../../cli/phrases.js'
import { isAlive, readServerFile } from '../../cli/serverfile.js'
import { timeLimit } from '../../fs/base/clock.js'
import { interruptible } from '../../fs/base/interruptible.js'
import type { Finding } from './finding.js'
import { withTree } from './tree.js'

/** How long the server may take to answer, in ms. */
const ASK_MS = 10_000
/** The most hosts that are asked. */
const MAX_HOSTS = 20
/** The most workers that are named, because the finding is one line. */
const MAX_SAID = 5

/** Checks that no worker of this user's server has ended by itself. */
export async function workers(env: NodeJS.ProcessEnv): Promise<Omit<Finding, 'name'>> {
  const file = readServerFile(env)
  const address = file?.addresses[0]
  if (!file || address === undefined || !isAlive(file)) return { state: 'ok', says: NOT_RUNNING }
  const signal = timeLimit(ASK_MS)
  const ended = await interruptible(ends(address, signal), signal)
  if (ended.length === 0) return { state: 'ok', says: 'no worker has ended unexpectedly' }
  return {
    state: 'note',
    says: ended.slice(0, MAX_SAID).join('; '),
    remedy: 'llamboctl logs shows the events before it; a smaller model or engine.context takes less memory',
  }
}

/** A line for each worker whose previous process did not end well. */
function ends(address: string, signal: AbortSignal): Promise<string[]> {
  return withTree(address, signal, async root => {
    const hosts = await entries(root, ['host'], signal)
    const lines: string[] = []
    // the cluster has the names of workers, a host only their ids
    const { worker } = status.read(await readText(root, ['status'], signal))
    const names = new Map(worker.map(({ id, name }) => [id, name]))
    for (const { name } of hosts.slice(0, MAX_HOSTS)) {
      for (const { id, error } of hostStatus.read(await readText(root, ['host', name, 'status'], signal)).worker)
        if (error) lines.push(`${names.get(id) ?? `worker ${id.slice(0, 8)}`} of ${name}: ${error}`)
    }
    return lines
  })
}
