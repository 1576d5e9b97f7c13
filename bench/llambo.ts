/** Starts llambo's servers as a user does. */

import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { readServerFile } from '../cli/serverfile.js'
import { built, scratch } from './programs.js'

const llamboctl = built('ctl/llamboctl.js')

/** A server as a user starts it, with a home of its own. */
export interface Llambo {
  /** The mount point; nothing is mounted there after `--no-mount`. */
  dir: string
  unix: string
  ws: string
  token: string
  stop(): void
}

let homes = 0

/** The environment of a user who has no files yet. */
export function newHome(): NodeJS.ProcessEnv & { HOME: string } {
  const home = join(scratch, `home${++homes}`)
  mkdirSync(join(home, 'run'), { recursive: true, mode: 0o700 })
  return {
    PATH: process.env.PATH,
    HOME: home,
    XDG_RUNTIME_DIR: join(home, 'run'),
    LLAMBO_LISTEN: 'ws://127.0.0.1:0/9p',
  }
}

const running = new Set<Llambo>()
process.on('exit', () => {
  for (const server of running) server.stop()
})

/** Runs `llamboctl up -d`. When that returns, the server is ready for a prompt. */
export function up(env: NodeJS.ProcessEnv & { HOME: string }, ...args: string[]): Llambo {
  const dir = join(env.HOME, 'n')
  mkdirSync(dir, { recursive: true })
  const mount = args.includes('--no-mount') ? [] : ['--mount', dir]
  const run = (...words: string[]) => {
    const { status, signal, stderr } = spawnSync(process.execPath, [llamboctl, ...words], { env, encoding: 'utf8' })
    if (status !== 0) throw new Error(`llamboctl ${words[0]}: ${signal ?? stderr}`)
  }
  run('up', '-d', ...mount, ...args)
  const { addresses } = readServerFile(env)!
  const token = join(env.HOME, '.local', 'state', 'llambo', 'token')
  const server = {
    dir,
    unix: addresses.find(address => address.startsWith('unix!'))!,
    ws: addresses.find(address => address.startsWith('ws:'))!,
    token: existsSync(token) ? readFileSync(token, 'utf8').trim() : '',
    stop() {
      if (running.delete(server)) run('down')
    },
  }
  running.add(server)
  return server
}
