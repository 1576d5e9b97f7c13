/** Runs llamboctl in a home of its own, for tests. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

export const llamboctl = fileURLToPath(new URL('../../ctl/llamboctl.js', import.meta.url))
export const checkout = fileURLToPath(new URL('../../..', import.meta.url))

/** The part of a tap test that is used here. */
interface Test {
  teardown(fn: () => unknown): unknown
}

export interface Result {
  code: number | null
  stdout: string
  stderr: string
}

/** A process: its output so far, and how it ended. */
export class Run {
  stdout = ''
  stderr = ''
  readonly ended: Promise<Result>
  constructor(readonly child: ChildProcess) {
    child.stdout?.setEncoding('utf8').on('data', text => {
      this.stdout += text
    })
    child.stderr?.setEncoding('utf8').on('data', text => {
      this.stderr += text
    })
    this.ended = new Promise(resolve => {
      child.once('close', code => resolve({ code, stdout: this.stdout, stderr: this.stderr }))
    })
  }

  /** Waits until standard error or output matches. @throws Error where the process ends before */
  async says(words: RegExp): Promise<void> {
    for (;;) {
      if (words.test(this.stderr) || words.test(this.stdout)) return
      const over = await Promise.race([this.ended, sleep(20, undefined)])
      if (over) throw new Error(`it ended (${over.code}) without ${words}: ${over.stderr}`)
    }
  }
}

/**
 * A user's home for one test, with directories and environment, engine echo, no mount and a free port. Whatever still
 * runs in it at the end of the test is killed.
 */
export class Home {
  readonly dir: string
  readonly env: NodeJS.ProcessEnv
  readonly #runs: Run[] = []

  /** @param within the command that runs its programs, such as `ip netns exec NAME` */
  constructor(
    t: Test,
    env: NodeJS.ProcessEnv = {},
    readonly within: readonly string[] = [],
  ) {
    this.dir = mkdtempSync(join(tmpdir(), 'llambo-ctl-'))
    mkdirSync(join(this.dir, 'run'), { mode: 0o700 })
    this.env = {
      PATH: process.env.PATH,
      HOME: this.dir,
      XDG_RUNTIME_DIR: join(this.dir, 'run'),
      LLAMBO_ENGINE: 'echo',
      LLAMBO_MOUNT: 'off',
      LLAMBO_LISTEN: 'ws://127.0.0.1:0/9p',
      ...env,
    }
    t.teardown(async () => {
      await this.ctl('down', '--now')
      for (const run of this.#runs) run.child.kill('SIGKILL')
      await Promise.all(this.#runs.map(run => run.ended))
      rmSync(this.dir, { recursive: true, force: true })
    })
  }

  path(...names: string[]): string {
    return join(this.dir, ...names)
  }

  /** Writes a file in the home and makes its directories. @returns its path */
  file(name: string, text: string | Uint8Array): string {
    const path = this.path(name)
    mkdirSync(join(path, '..'), { recursive: true })
    writeFileSync(path, text)
    return path
  }

  start(args: readonly string[], env: NodeJS.ProcessEnv = {}, program = [llamboctl]): Run {
    const [command, ...rest] = [...this.within, process.execPath, ...program, ...args]
    const child = spawn(command!, rest, {
      env: { ...this.env, ...env },
      stdio: 'pipe',
      cwd: this.dir,
    })
    const run = new Run(child)
    this.#runs.push(run)
    return run
  }

  /** Runs llamboctl to its end, with empty standard input. */
  ctl(...args: string[]): Promise<Result> {
    return this.feed('', ...args)
  }

  feed(input: string | Uint8Array, ...args: string[]): Promise<Result> {
    const run = this.start(args)
    run.child.stdin?.on('error', () => {}).end(input)
    return run.ended
  }

  /** Starts a server in the foreground and waits until it listens. */
  async up(...args: string[]): Promise<Run> {
    const run = this.start(['up', ...args])
    await run.says(/listening on ws/)
    return run
  }
}
