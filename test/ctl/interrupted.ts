/** A server whose start is interrupted as soon as its mount is there, for a test. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { loadConfig } from '../../cli/config.js'
import { startServer } from '../../ctl/server/server.js'
import { isMounted } from '../../mnt/mount.js'

/** How often the start is tried: on a busy machine the mount's process may report that it is ready before the mount is seen here. */
const TRIES = 10

/** Interrupts the start of a server when the mount appears. @returns how the start ended */
async function interrupted(dir: string): Promise<string> {
  const controller = new AbortController()
  let watching = true
  /** Checks in each turn of the event loop, so that the mount is seen before its process reports that it is ready. */
  function watch(): void {
    if (readFileSync('/proc/self/mountinfo', 'utf8').includes(` ${dir} `)) controller.abort(new Error('interrupted'))
    else if (watching) setImmediate(watch)
  }
  watch()
  const { config } = loadConfig(process.env, { mount: dir, workers: 1 })
  try {
    const server = await startServer({ config, env: process.env, note: () => {}, signal: controller.signal })
    await server.close()
    return 'started'
  } catch (error) {
    return (error as Error).message
  } finally {
    watching = false
  }
}

const dir = join(process.env.HOME!, 'n')
let outcome = 'started'
for (let i = 0; i < TRIES && outcome === 'started'; i++) outcome = await interrupted(dir)
process.stdout.write(JSON.stringify({ outcome, mounted: await isMounted(dir) }))
process.exit()
