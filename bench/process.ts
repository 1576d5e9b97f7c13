/** Measures processes: how long they take to start, and their memory. */

import { fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { bundledModel, bundledModels } from '../ctl/server/bundled.js'
import type { Client } from '../fs/client/client.js'
import { newHome, up } from './llambo.js'
import { compare, type Result, time } from './measure.js'
import { attach, built, resident, scratch, startOurs } from './programs.js'

/** How long a process is left alone before its memory is read, in ms. */
const SETTLED_MS = 2500
const CONNECTIONS = 1000

const run = (args: string[]): Promise<number> =>
  time(
    () =>
      new Promise<void>((resolve, reject) => {
        const child = spawn(process.execPath, args, { stdio: 'ignore' })
        child.once('error', reject)
        child.once('exit', code => (code === 0 ? resolve() : reject(new Error(`${args[0]}: exit ${code}`))))
      }),
  )

/** Measures `llamboctl --version`, compared with a Node that does nothing. */
export const version = (): Promise<Result> =>
  compare({
    what: 'llamboctl --version, more than node -e 0',
    unit: 'ms',
    aim: { most: 100 },
    difference: true,
    rounds: 11,
    ours: () => run([built('ctl/llamboctl.js'), '--version']),
    theirs: () => run(['-e', '0']),
  })

/**
 * Measures the time until `llamboctl up -d` with the bundled model returns, compared with node-llama-cpp alone until it
 * has loaded that model.
 */
export async function ready(): Promise<Result> {
  const env = newHome()
  const slots = '4'
  return compare({
    what: 'up -d to ready, more than node-llama-cpp alone',
    unit: 'ms',
    aim: { most: 500 },
    difference: true,
    async ours() {
      const began = performance.now()
      const server = up(env, '--slots', slots)
      const ms = performance.now() - began
      server.stop()
      return ms
    },
    async theirs() {
      const began = performance.now()
      const child = fork(built('bench/direct.js'), [join(bundledModels, `${bundledModel}.gguf`), '1', slots])
      await once(child, 'message')
      const ms = performance.now() - began
      child.kill()
      return ms
    },
  })
}

/** A process and all its descendants. */
function family(pid: number): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number)
  return [pid, ...children.flatMap(family)]
}

/** The memory of an idle process and its descendants, in MiB. */
async function idle(args: string[], env: NodeJS.ProcessEnv): Promise<number> {
  const child = spawn(process.execPath, args, { stdio: 'ignore', env: { ...process.env, ...env } })
  const exited = new Promise(resolve => child.once('exit', resolve))
  await sleep(SETTLED_MS)
  if (child.exitCode !== null) throw new Error(`${args[0]}: exit ${child.exitCode}`)
  const mib = family(child.pid!).reduce((sum, pid) => sum + resident(pid) / 1024, 0)
  child.kill('SIGTERM')
  await exited
  return mib
}

/** Measures the memory of a server without a model, its worker included, compared with an idle Node. */
export function idleServer(): Promise<Result> {
  const home = join(scratch, 'home')
  mkdirSync(join(home, 'llambo'), { recursive: true, mode: 0o700 })
  writeFileSync(join(home, 'llambo', 'config.yaml'), 'listen: [ws://127.0.0.1:0/9p]\n')
  const env = { HOME: home, XDG_RUNTIME_DIR: home, XDG_CONFIG_HOME: home, XDG_STATE_HOME: home, XDG_DATA_HOME: home }
  return compare({
    what: 'idle server without a model, more than node',
    unit: 'MiB',
    aim: { most: 45 },
    difference: true,
    rounds: 5,
    ours: () => idle([built('ctl/llamboctl.js'), 'up', '--no-mount', '--model', 'none'], env),
    theirs: () => idle(['-e', 'setInterval(() => {}, 1e9)'], {}),
  })
}

/** Measures the memory of a connection that is attached and idle, over a thousand of them. */
export function idleConnection(): Promise<Result> {
  const grown = async (connections: number): Promise<number> => {
    const server = await startOurs()
    const clients: Client[] = []
    // a few connections first, so that one-time loading and compiling does not count
    for (let i = 0; i < 50; i++) clients.push((await attach(server)).client)
    await sleep(500)
    const before = resident(server.pid)
    for (let i = 0; i < connections; i++) clients.push((await attach(server)).client)
    await sleep(1500)
    const kib = (resident(server.pid) - before) / CONNECTIONS
    for (const client of clients) client.close()
    await server.stop()
    return kib
  }
  return compare({
    what: `idle connection, of ${CONNECTIONS}`,
    unit: 'KiB',
    aim: { most: 16 },
    difference: true,
    rounds: 5,
    ours: () => grown(CONNECTIONS),
    theirs: () => grown(0),
  })
}
