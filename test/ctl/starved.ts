/** A program without free file descriptors that starts a worker, for a test. */
import { openSync } from 'node:fs'
import type { Config } from '../../cli/settings.js'
import { spawner } from '../../ctl/server/spawn.js'

/** Uses up all file descriptors, starts a worker's process and sends the result to the parent. */
const start = spawner({
  config: { 'engine.kind': 'echo' } as Config,
  env: process.env,
  host: 'alpha',
  orphan_ms: 1000,
  note: () => {},
})
try {
  for (;;) openSync('/dev/null', 'r')
} catch {
  const { pid, exited } = start({
    id: 'i',
    boot: 'b',
    class: { name: 'default', slots: 1, memory: 0, cores: 0 },
    host_id: 'h',
    secret: '',
    upstream: { address: 'unix!/nowhere' },
  })
  process.send?.({ pid, ...(await exited) })
  process.exit()
}
