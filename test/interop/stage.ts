/** What the suites share: processes, mounts, comparisons. */

import { type ChildProcess, spawn } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { isMounted, startMount, unmount } from '../../mnt/mount.js'
import { ended, gone, type Ran } from '../mnt/fixture.js'
import type { Report, Row } from './table.js'

/** How long a program on a mount may take, in seconds. One that takes longer hangs. */
const LIMIT = 60

/** What a suite starts and creates: a directory in memory, processes and mounts. All of it is removed at the end. */
export class Stage {
  readonly dir = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'llambo-interop-'))
  #undo: (() => unknown)[] = [() => rmSync(this.dir, { recursive: true, force: true })]

  constructor() {
    // other users pass through this directory to the mounts that they may use
    chmodSync(this.dir, 0o755)
  }

  /** Like tap's teardown: the last one added runs first. */
  teardown(undo: () => unknown): void {
    this.#undo.push(undo)
  }

  async end(): Promise<void> {
    for (const undo of this.#undo.splice(0).reverse()) await undo()
  }

  path(...names: string[]): string {
    return join(this.dir, ...names)
  }

  make(name: string): string {
    mkdirSync(this.path(name), { recursive: true })
    return this.path(name)
  }

  /** A process that lives until the end of the suite. */
  daemon(program: string, args: readonly string[]): ChildProcess {
    const child = spawn(program, args, { stdio: 'ignore' })
    const exited = new Promise(resolve => child.once('exit', resolve))
    this.teardown(() => {
      child.kill('SIGKILL')
      return exited
    })
    return child
  }

  /** Starts diod with these trees. @returns the socket it listens on */
  async diod(...trees: string[]): Promise<string> {
    const socket = this.path('diod.sock')
    const exports = trees.flatMap(tree => ['-e', tree])
    const log = this.path('diod.log')
    const child = this.daemon('diod', ['-f', '-n', '-l', socket, ...exports, '-L', log])
    while (!existsSync(socket)) {
      if (child.exitCode !== null)
        throw new Error(`diod ended with ${child.exitCode}: ${readFileSync(log, 'utf8').trim()}`)
      await sleep(20)
    }
    return socket
  }

  /** Mounts a server's tree with our driver, in a process of its own. */
  async mount(name: string, address: string, aname: string, allowOther = false): Promise<string> {
    const dir = this.make(name)
    const { pid } = await startMount({
      address,
      aname,
      dir,
      allowOther,
      ...(process.env.TRACE ? { trace: process.env.TRACE } : {}),
    })
    this.teardown(async () => {
      if (await isMounted(dir)) await unmount(dir)
      await gone(pid)
    })
    return dir
  }
}

/** Runs a script with bash. If it hangs, it is killed with all that it started: exit code 137. */
export function bash(script: string, env: NodeJS.ProcessEnv = {}, limit = LIMIT): Promise<Ran> {
  return ended(
    spawn('timeout', ['-s', 'KILL', String(limit), 'bash', '-c', script], {
      stdio: ['ignore', 'pipe', 'pipe'],
      cwd: '/',
      env: { ...process.env, LC_ALL: 'C.UTF-8', TZ: 'UTC', ...env },
    }),
  )
}

/** The exit code, and everything that was printed. */
export const outcome = ({ code, out, err }: Ran): string => `exit ${code}\n${out}${err}`

/** Thrown if an attempt is known to fail, for a reason that is not ours. */
export class Lacking extends Error {}

/** Returns a function that tries an operation of one client and reports it. */
export function reporter(report: Report, client: string, dialect: string) {
  /** @param attempt fails the row by throwing; a string that it returns is the note */
  return async (operation: string, attempt: () => Promise<unknown>): Promise<void> => {
    const row: Row = { client, dialect, operation, result: 'ok' }
    try {
      const note = await attempt()
      if (typeof note === 'string') row.note = note
    } catch (error) {
      row.result = error instanceof Lacking ? 'skipped' : 'failed'
      row.note = (error as Error).message.slice(0, 300)
    }
    report(row)
  }
}

/** @throws Error with the first line in which two texts differ */
export function same(got: string, wanted: string, what = ''): void {
  if (got === wanted) return
  const [mine, theirs] = [got.split('\n'), wanted.split('\n')]
  const at = mine.findIndex((line, i) => line !== theirs[i])
  const line = at < 0 ? mine.length : at
  throw new Error(`${what} line ${line + 1}: got ${JSON.stringify(mine[line])}, not ${JSON.stringify(theirs[line])}`)
}

export function matches(got: string, wanted: RegExp): void {
  if (!wanted.test(got)) throw new Error(`${JSON.stringify(got.slice(0, 200))} does not match ${wanted}`)
}
