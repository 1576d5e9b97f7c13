/** Starts an orchestrator for the cluster benchmark. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { status } from '../../api/status.js'
import { Client } from '../../fs/client/client.js'
import { dial } from '../../fs/dial.js'
import { newHome } from '../llambo.js'
import { built } from '../programs.js'
import { CORE } from './child.js'

/** `llamboctl up --workers 0` on a core of its own: an orchestrator that waits for workers to join. */
export interface Orchestrator {
  readonly pid: number
  /** The address for clients, and the address for workers. */
  readonly address: string
  readonly join: string
  /** A directory for files of the benchmark. */
  readonly dir: string
  /** Resolves when this many slots are ready for a prompt. */
  slots(count: number): Promise<void>
  stop(): Promise<void>
}

export async function startOrchestrator(): Promise<Orchestrator> {
  const env = newHome()
  const at = (name: string) => join(env.XDG_RUNTIME_DIR!, 'llambo', name)
  // for example --cpu-prof
  const flags = (process.env.NODE_FLAGS ?? '').split(' ').filter(Boolean)
  const args = ['-c', `${CORE.orchestrator}`, process.execPath, ...flags, built('ctl/llamboctl.js')]
  const child = spawn('taskset', [...args, 'up', '--workers', '0', '--no-mount'], {
    env,
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let said = ''
  child.stderr.on('data', text => (said += text))
  const kill = () => child.kill('SIGKILL')
  process.once('exit', kill)
  for (let tries = 0; !existsSync(at('9p')) || !existsSync(at('join')); tries++) {
    if (child.exitCode !== null || tries > 400) throw new Error(`the orchestrator did not start: ${said}`)
    await sleep(50)
  }
  const client = await Client.connect(await dial(`unix!${at('9p')}`))
  const root = await client.attach({ uname: '' })
  return {
    pid: child.pid!,
    address: `unix!${at('9p')}`,
    join: `unix!${at('join')}`,
    dir: env.HOME,
    async slots(count) {
      for (;;) {
        const { server } = status.read(Buffer.from(await root.readFile('status')).toString())
        if (server.slots >= count) return
        await sleep(200)
      }
    },
    async stop() {
      client.close()
      const exited = once(child, 'exit')
      child.kill('SIGTERM')
      const late = setTimeout(kill, 20_000)
      await exited
      clearTimeout(late)
      process.off('exit', kill)
    },
  }
}
