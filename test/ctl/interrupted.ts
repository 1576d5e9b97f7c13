import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { loadConfig } from '../../ctl/common/config.js'
import { startServer } from '../../ctl/server/server.js'
import { isMounted } from '../../mnt/mount.js'

/** A server that is interrupted the moment that its mount is there: says whether it still is when the start has failed. */
const dir = join(process.env.HOME!, 'n')
const controller = new AbortController()
let watching = true
/** Between two turns of the loop, so that nothing is heard from what mounts before we have seen that it has. */
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
