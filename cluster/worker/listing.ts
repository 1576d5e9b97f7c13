/** The list of a store's models, for a worker's `status`. */
import type { Clock } from '../../fs/base/clock.js'
import { LIST_MS } from './limits.js'
import type { ModelEntry, ModelStore } from './models.js'

/**
 * Lists a store's models, for a status. If the disk does not answer in time, the previous list is returned: a cluster
 * that waits for the status would take the worker for dead although its model is in memory. The first list has no time
 * limit. Only one listing runs at a time, because each holds a thread for as long as the disk hangs.
 */
export function listing(store: Pick<ModelStore, 'list'>, clock: Clock): () => Promise<readonly ModelEntry[]> {
  let last: readonly ModelEntry[] | undefined
  let under: Promise<void> | undefined
  const list = async () => {
    try {
      last = await store.list()
    } finally {
      under = undefined
    }
  }
  return () =>
    new Promise((resolve, reject) => {
      const cancel = clock.after(LIST_MS, () => last && resolve(last), true)
      under ??= list()
      under.then(() => resolve(last!), reject).finally(cancel)
    })
}
