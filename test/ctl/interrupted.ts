/** A server whose start is interrupted as soon as its mount is there, for a test. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { loadConfig } from '../../ctl/common/config.js'
import { startServer } from '../../ctl/server/server.js'
import { isMounted } from '../../mnt/mount.js'

/**
 * Interrupts the start of a server when the mount appears, and prints whether the mount is still there when the start
 * has failed.
 */
const dir = join(process.env.HOME!, 'n')
const controller = new AbortController()
let watching = true
/** Checks in each turn of the event loop, so that the mount is seen before its process reports that it is ready. */
function watch(): void {
  if (readFileSync('/proc/self/mountinfo', 'utf8').includes(` ${dir} `)) controller.abort(new Error('interrupted'))
  else if (watching) setImmediate(watch)
}
watch()
const { config } = loadConfig(process.env, { mount: dir, workers: 1 })
const outcome = await startServer({ config, env: process.env, note: () => {}, signal: controller.signal }).then(
  () => 'started',
  error => error.message,
)
watching = false
process.stdout.write(JSON.stringify({ outcome, mounted: await isMounted(dir) }))
process.exit()
