/** This machine as a host: it starts worker processes and takes over those of a host that was killed. */
import { randomUUID } from 'node:crypto'
import os from 'node:os'
import { join, resolve } from 'node:path'
import type { OnDamaged } from '../../cli/aside.js'
import { explain } from '../../cli/exit.js'
import { bytes } from '../../cli/output.js'
import { privateDir, runtimeDir } from '../../cli/paths.js'
import type { Config } from '../../cli/settings.js'
import { version } from '../../cli/version.js'
import type { Upstream } from '../../cluster/host/process.js'
import { createHost, type Host } from '../../cluster/host.js'
import { oomKills } from '../../cluster/memory.js'
import { thisMachine } from '../../cluster/worker/hardware.js'
import { systemClock } from '../../fs/base/clock.js'
import { classesOf, workerSettings } from './classes.js'
import { machineIdentity } from './identity.js'
import { adopt, spawner } from './spawn.js'
import { self } from './users.js'
import { readWorkersFile, writeWorkersFile } from './workersfile.js'

export interface LocalHostOptions {
  readonly config: Config
  readonly env: NodeJS.ProcessEnv
  /** Where the workers join. */
  readonly upstream: Upstream
  /** Called with lines for a person, and with the lines that workers write. */
  readonly note: (line: string) => void
  /** Called for a damaged file that a previous host left. */
  readonly onDamaged?: OnDamaged
  /** Called when `shutdown` was written to the host's `ctl`. */
  shutdown(): void
  /** Called with the reason when the cluster refuses this host. */
  refused?(why: string): void
  /** How long a worker lives without its cluster, in ms; 60 s by default. */
  readonly orphan_ms?: number
  /** The file in the runtime directory that records the workers; `workers.json` by default. */
  readonly file?: string
  /**
   * The file in the state directory with the host's id; `host-id` by default. A second host of one machine needs a file
   * of its own.
   */
  readonly idFile?: string
}

const ORPHAN_MS = 60_000

/**
 * Makes this machine a host, whose workers are processes. Workers that a killed host of this user left are taken over
 * where they still fit the configuration; the others are ended.
 */
export function localHost(o: LocalHostOptions): Host {
  const { env, note, onDamaged = () => undefined } = o
  // workers start in another directory, and later, when this process may be in another one too
  const config = withWholePaths(o.config)
  const name = hostName(os.hostname())
  const path = join(privateDir(runtimeDir(env)), o.file ?? 'workers.json')
  const asked = config.workers ?? 1
  const { same, other } = readWorkersFile(path, workerSettings(config), asked, onDamaged)
  // SIGTERM lets them finish the answers that they are making
  const useless = other.flatMap(worker => adopt(worker) ?? [])
  for (const worker of useless) worker.kill('SIGTERM')
  if (useless.length > 0)
    note(
      `ending ${useless.length} ${useless.length === 1 ? 'worker' : 'workers'} of a killed server: the settings have changed since`,
    )
  const machine = thisMachine()
  const killed = oomKills()
  return createHost({
    name,
    id: machineIdentity(env, o.idFile, onDamaged).id,
    boot: randomUUID().slice(0, 8),
    version: version(),
    owner: self(),
    clock: systemClock,
    random: Math.random,
    spawn: spawner({ config, env, host: name, orphan_ms: o.orphan_ms ?? ORPHAN_MS, note }),
    upstream: o.upstream,
    classes: classesOf(config),
    machine,
    outOfMemory() {
      const limit = killed()
      if (limit === undefined) return undefined
      const { total } = machine.memory()
      return `out of memory${limit <= total ? ` (cgroup limit ${bytes(limit)})` : ''}`
    },
    saved: same,
    adopt,
    save(workers) {
      try {
        writeWorkersFile(path, { config: workerSettings(config), asked, workers })
      } catch (error) {
        note(`${path}: ${explain(error)}; if this process is killed, the next one will not find its workers`)
      }
    },
    shutdown: o.shutdown,
    refused: o.refused ?? (why => note(`the cluster refused this host: ${why}`)),
  })
}

/** The configuration with absolute paths of key files. */
function withWholePaths(config: Config): Config {
  const { 'engine.key_file': keyFile, classes = {} } = config
  const whole = Object.entries(classes).map(([name, of]) => [
    name,
    { ...of, ...(of.key_file && { key_file: resolve(of.key_file) }) },
  ])
  return { ...config, classes: Object.fromEntries(whole), ...(keyFile && { 'engine.key_file': resolve(keyFile) }) }
}

/**
 * The machine's name in a tree: the first label of its host name, with the characters that such a name may have; else
 * `host`.
 */
export function hostName(full: string): string {
  const [label = ''] = full.toLowerCase().split('.')
  const name = label
    .replace(/[^a-z0-9_-]/g, '-')
    .replace(/^[^a-z0-9]+/, '')
    .slice(0, 64)
  return name || 'host'
}
