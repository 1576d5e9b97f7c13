/** The checks of `llamboctl doctor`, in the order in which it prints them. */

import { existsSync, readdirSync, statfsSync } from 'node:fs'
import { createServer } from 'node:net'
import { platform, totalmem } from 'node:os'
import { dirname, join } from 'node:path'
import { FsError } from '../../api/errors.js'
import { isAside } from '../../cli/aside.js'
import { loadConfig } from '../../cli/config.js'
import { explain, Failure } from '../../cli/exit.js'
import { bytes } from '../../cli/output.js'
import { configFile, modelDir, privateDir, runtimeDir, stateDir } from '../../cli/paths.js'
import { NOT_RUNNING } from '../../cli/phrases.js'
import { isAlive, readServerFile } from '../../cli/serverfile.js'
import { thisMachine } from '../../cluster/worker/hardware.js'
import { deadMounts, fuseProblem } from '../../mnt/mount.js'
import type { Finding } from './finding.js'
import { gpu } from './gpu.js'
import { descriptors } from './limits.js'
import { models } from './models.js'
import { spill } from './spill.js'
import { upstream } from './upstream.js'
import { workers } from './workers.js'

type Check = (env: NodeJS.ProcessEnv) => Omit<Finding, 'name'> | Promise<Omit<Finding, 'name'>>

const ok = (says: string) => ({ state: 'ok' as const, says })

const checks: Record<string, Check> = {
  node() {
    const [major, minor] = process.versions.node.split('.').map(Number) as [number, number]
    const enough = major > 20 || (major === 20 && minor >= 19)
    if (enough) return ok(`Node ${process.versions.node} on ${platform()} ${process.arch}`)
    return { state: 'bad', says: `Node ${process.versions.node}`, remedy: 'install Node 20.19 or later' }
  },

  async fuse() {
    const problem = await fuseProblem()
    if (problem === undefined) return ok('FUSE mounts are possible')
    const [says = '', ...rest] = problem.split(': ')
    return { state: 'note', says, remedy: rest.join(': ') || 'llamboctl reaches every file without a mount' }
  },

  async mounts() {
    const [dead] = await deadMounts()
    if (dead === undefined) return ok('no dead mounts')
    return { state: 'note', says: `${dead}: the process behind it is gone`, remedy: `llamboctl umount ${dead}` }
  },

  cpu() {
    const { cpu } = thisMachine()
    const fast = ['avx2', 'avx512', 'neon'].includes(cpu)
    if (fast) return ok(`${cpu}: llama.cpp has fast code for it`)
    return {
      state: 'note',
      says: `${cpu}: llama.cpp runs, several times slower than with AVX2`,
      remedy: 'in a virtual machine, pass the host’s CPU features through',
    }
  },

  gpu,

  memory() {
    const { total, free } = thisMachine().memory()
    const of = total < totalmem() * 0.99 ? ' that this container may use' : ''
    const says = `${bytes(free)} of ${bytes(total)}${of} free`
    if (free > 512e6) return ok(says)
    return {
      state: free > 200e6 ? 'note' : 'bad',
      says,
      remedy: 'close other programs, or use a smaller model (the bundled one needs 120 MB)',
    }
  },

  descriptors,

  async port(env) {
    const file = running(env)
    if (file?.addresses.some(address => /:5641\b/.test(address))) return ok('5641 is used by your server')
    if (file) return ok('your server does not use 5641: it was busy, or another port is configured')
    const busy = await new Promise<string | undefined>(resolve => {
      const server = createServer()
      server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code))
      server.listen(5641, '127.0.0.1', () => server.close(() => resolve(undefined)))
    })
    if (!busy) return ok('5641 is free on 127.0.0.1')
    return {
      state: 'note',
      says: `5641 on 127.0.0.1: ${busy}; llamboctl up would start without HTTP`,
      remedy: 'llamboctl up --listen ws://127.0.0.1:5642/9p',
    }
  },

  config(env) {
    const file = configFile(env)
    try {
      loadConfig(env)
      return ok(existsSync(file) ? file : `${file} does not exist; all settings have their defaults`)
    } catch (error) {
      return { state: 'bad', says: explain(error), remedy: `correct it; docs/llamboctl.md lists the settings` }
    }
  },

  runtime(env) {
    const dir = runtimeDir(env)
    try {
      return ok(existsSync(dir) ? privateDir(dir) : `${dir}, created at the first start`)
    } catch (error) {
      const [says = '', ...rest] = explain(error).split('; ')
      return { state: 'bad', says, remedy: rest.join('; ') }
    }
  },

  models,

  state(env) {
    const dirs = [join(stateDir(env), 'cluster'), stateDir(env), runtimeDir(env)].filter(dir => existsSync(dir))
    const damaged = dirs.flatMap(dir =>
      readdirSync(dir)
        .filter(isAside)
        .map(name => join(dir, name)),
    )
    if (damaged.length === 0) return ok('no damaged files')
    return {
      state: 'note',
      says: `${damaged.length} files could not be restored: ${damaged.slice(0, 5).join(' ')}`,
      remedy: 'the event not-restored said why; they are text files: copy what you need, then remove them',
    }
  },

  spill,

  upstream,

  disk(env) {
    let dir = modelDir(env)
    while (!existsSync(dir) && dir !== dirname(dir)) dir = dirname(dir)
    const { bavail, bsize } = statfsSync(dir)
    const free = bavail * bsize
    if (free > 5e9) return ok(`${bytes(free)} free for models in ${dir}`)
    return {
      state: 'note',
      says: `${bytes(free)} free in ${dir}`,
      remedy: 'a model takes 0.3 GB or more: free some space, or link the directory to another disk',
    }
  },

  server(env) {
    const file = running(env)
    const path = join(runtimeDir(env), 'server.json')
    if (!readServerFile(env) && existsSync(path))
      return {
        state: 'note',
        says: `cannot read ${path}, so a running server cannot be found`,
        remedy: 'llamboctl up renames the file and starts a server',
      }
    return ok(
      file
        ? `running (pid ${file.pid}) at ${file.addresses.join(', ')}`
        : `${NOT_RUNNING}; to start it: llamboctl up -d`,
    )
  },

  workers,
}

const running = (env: NodeJS.ProcessEnv) => {
  const file = readServerFile(env)
  return file && isAlive(file) ? file : undefined
}

/** Whether an error is a fault of llambo. Errors of the system, and refusals of our own checks, are not. */
const isOurs = (error: unknown): boolean =>
  !(error instanceof Failure || error instanceof FsError || (error as NodeJS.ErrnoException).errno !== undefined)

/**
 * Runs all checks, one after the other because some of them need memory. Never rejects: a check that fails becomes a
 * finding.
 */
export async function findings(env: NodeJS.ProcessEnv): Promise<Finding[]> {
  const out: Finding[] = []
  for (const [name, check] of Object.entries(checks)) {
    try {
      out.push({ name, ...(await check(env)) })
    } catch (error) {
      out.push({
        name,
        state: 'note',
        says: `the check failed: ${explain(error)}`,
        remedy: isOurs(error)
          ? 'report this, with llamboctl doctor --json'
          : 'fix this, then run llamboctl doctor again',
      })
    }
  }
  return out
}
