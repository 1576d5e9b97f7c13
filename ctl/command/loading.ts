/** Shows how far a model has loaded while a command waits for it. */
import { setTimeout as sleep } from 'node:timers/promises'
import { status } from '../../api/status.js'
import { readText } from '../../cli/files.js'
import type { Invocation } from '../../cli/invocation.js'
import { sanitize } from '../../cli/terminal/sanitize.js'
import type { Fid } from '../../fs/client/client.js'

/** How often the progress of a load is read, in ms. */
const LOOK_MS = 300

/**
 * The loads in progress, from the text of `status`: `big (45 %)`, with commas between several. Empty where nothing
 * loads.
 */
export function loading(text: string): string {
  const { server, worker } = status.read(text)
  return [server, ...worker]
    .filter(({ loading }) => loading !== '')
    .map(({ loading, progress = 0 }) => `${sanitize(loading)} (${Math.round(progress * 100)} %)`)
    .filter((text, i, all) => all.indexOf(text) === i)
    .join(', ')
}

/** Waits for a load and shows its progress meanwhile, where standard error is a terminal. */
export async function withProgress<T>(io: Invocation, root: Fid, work: Promise<T>): Promise<T> {
  if (!io.stderr.isTTY) return work
  const over = new AbortController()
  const signal = AbortSignal.any([io.signal, over.signal])
  const show = async () => {
    const started = performance.now()
    for (;;) {
      await sleep(LOOK_MS, undefined, { signal })
      const now = loading(await readText(root, ['status'], signal))
      const seconds = ((performance.now() - started) / 1000).toFixed(0)
      io.stderr.write(`\r\x1b[Kloading ${now || '…'} ${seconds} s`)
    }
  }
  // a failure to read the progress is not a failure of the load
  const shown = show().catch(() => undefined)
  try {
    return await work
  } finally {
    over.abort()
    await shown
    io.stderr.write('\r\x1b[K')
  }
}
