/** Starts and ends the programs that the benchmark compares. */

import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Client, type Fid } from '../fs/client/client.js'
import { dial } from '../fs/dial.js'
import { LARGE, SMALL } from './tree.js'

export const built = (path: string): string => fileURLToPath(new URL(`../${path}`, import.meta.url))

/** The directory of all files of a run; in memory if that is possible, so that no disk is measured. */
export const scratch = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'llambo-bench-'))
const running = new Set<ChildProcess>()

/** Kills the programs that were started, and removes all files. */
export function cleanUp(): void {
  for (const child of running) child.kill('SIGKILL')
  rmSync(scratch, { recursive: true, force: true })
}

export interface Program {
  pid: number
  address: string
  /** The attach name of its tree. */
  aname: string
  stop(): Promise<void>
}

let sockets = 0

/** Starts a program that listens on the unix socket it is given, and waits until it does. */
async function start(command: (path: string) => string[], aname = ''): Promise<Program> {
  const path = join(scratch, `${++sockets}.sock`)
  const [program, ...args] = command(path)
  const child = spawn(program!, args, { stdio: ['pipe', 'ignore', 'ignore'], env: { ...process.env, HOME: scratch } })
  running.add(child)
  const exited = new Promise<void>(resolve => child.once('exit', () => resolve()))
  for (let tries = 0; !existsSync(path); tries++) {
    if (child.exitCode !== null || tries > 400) throw new Error(`${program} did not start`)
    await sleep(50)
  }
  return {
    pid: child.pid!,
    address: `unix!${path}`,
    aname,
    async stop() {
      child.kill('SIGKILL')
      await exited
      running.delete(child)
    },
  }
}

/** Starts our server in a process of its own. It serves the small file and the named parts of tree.ts. */
export const startOurs = (...parts: ('large' | 'directories')[]): Promise<Program> =>
  start(path => [process.execPath, built('bench/server.js'), `unix!${path}`, ...parts])

export const haveDiod = spawnSync('diod', ['--help']).error === undefined

/** Starts diod, with the same tree on a file system in memory. */
export async function startDiod(): Promise<Program> {
  const tree = join(scratch, 'tree')
  mkdirSync(tree)
  writeFileSync(join(tree, 'small'), 'x'.repeat(SMALL))
  for (const name of ['large', 'sink']) {
    writeFileSync(join(tree, name), '')
    truncateSync(join(tree, name), LARGE)
  }
  // allocated pages, not holes: a read must find them
  writeFileSync(join(tree, 'large'), new Uint8Array(LARGE))
  return start(path => ['diod', '-f', '-n', '-l', path, '-e', tree, '-L', 'stderr'], tree)
}

/** Connects as this user in 9P2000.L, the one dialect that both servers speak. */
export async function attach(program: Program, msize?: number): Promise<{ client: Client; root: Fid }> {
  const client = await Client.connect(await dial(program.address), {
    dialect: '9P2000.L',
    ...(msize !== undefined && { msize }),
  })
  return { client, root: await client.attach({ uname: '', n_uname: process.getuid!(), aname: program.aname }) }
}

/** Resident memory of a process, in KiB. */
export function resident(pid: number): number {
  return Number(/^VmRSS:\s*(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1])
}
