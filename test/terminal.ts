/** Runs a program in a real terminal at which a test types. */

import { execFile, execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** The part of tap's test that is needed here. */
interface Test {
  teardown(fn: () => unknown): unknown
}

/** Why tests in a real terminal are skipped here; false if they are not. */
export const noTerminal: string | false = (() => {
  try {
    execFileSync('tmux', ['-V'], { stdio: 'ignore' })
    return false
  } catch {
    return 'tmux is missing: apt-get install tmux'
  }
})()

/** How long a screen may take to show what a test waits for, in ms. */
const PATIENCE_MS = 20_000

export interface TerminalOptions {
  /** The whole environment of the program. */
  env: NodeJS.ProcessEnv
  cwd: string
  columns?: number
  rows?: number
}

/** A program in a real terminal: tmux, with a server of its own that ends with the test. */
export class Terminal {
  readonly #dir: string
  readonly #socket: string
  /** A file that the exit code is written to. */
  readonly #code: string

  private constructor() {
    this.#dir = mkdtempSync(join(tmpdir(), 'llambo-tmux-'))
    this.#socket = join(this.#dir, 'socket')
    this.#code = join(this.#dir, 'code')
  }

  static async start(t: Test, command: readonly string[], o: TerminalOptions): Promise<Terminal> {
    const terminal = new Terminal()
    const { columns = 80, rows = 24 } = o
    t.teardown(async () => {
      await terminal.#tmux('kill-server').catch(() => {})
      rmSync(terminal.#dir, { recursive: true, force: true })
    })
    const env = Object.entries({ TERM: 'tmux-256color', ...o.env }).map(([name, value]) => `${name}=${value}`)
    // the screen can still be read after the program has ended
    const options = ['-f', '/dev/null', 'set-option', '-g', 'remain-on-exit', 'on', ';']
    const limits = ['set-option', '-g', 'history-limit', '50000', ';', 'set-option', '-g', 'escape-time', '0', ';']
    const size = ['-d', '-x', `${columns}`, '-y', `${rows}`, '-c', o.cwd]
    // env(1), because tmux takes the environment from its server. The exit code is written to a file, because tmux 3.3a
    // sometimes misses that a program has ended. The trap lets the shell outlive a Ctrl-C that the program handles.
    const program = [
      'sh',
      '-c',
      'trap : INT QUIT; "$@"; echo $? > "$0"',
      terminal.#code,
      'env',
      '-i',
      ...env,
      ...command,
    ]
    await terminal.#tmux(...options, ...limits, 'new-session', ...size, ...program)
    return terminal
  }

  /** Presses keys, as tmux calls them: `Enter`, `C-c`, `M-Enter`, `Up`. */
  async press(...keys: string[]): Promise<void> {
    await this.#tmux('send-keys', ...keys)
  }

  /** Types letters. */
  async type(text: string): Promise<void> {
    await this.#tmux('send-keys', '-l', '--', text)
  }

  /** Types a line and Enter. */
  async enter(text: string): Promise<void> {
    await this.type(text)
    await this.press('Enter')
  }

  /** Pastes text, in brackets if the program has asked for that. */
  async paste(text: string): Promise<void> {
    const child = run('tmux', ['-S', this.#socket, 'load-buffer', '-'])
    child.child.stdin!.end(text)
    await child
    await this.#tmux('paste-buffer', '-p', '-r')
  }

  /**
   * What is on the screen, without spaces at the ends of lines.
   * @param history includes what has scrolled off the screen
   * @param colors includes the escape sequences that colour it
   */
  async shown(history = false, colors = false): Promise<string> {
    const { stdout } = await this.#tmux(
      'capture-pane',
      '-p',
      ...(history ? ['-S', '-'] : []),
      ...(colors ? ['-e'] : []),
    )
    return stdout.replace(/[ \t]+$/gm, '').trimEnd()
  }

  /** Waits until the screen shows that, and returns it. @throws Error with the screen, if it never does */
  async screen(what: RegExp | ((screen: string) => boolean), o: { history?: boolean } = {}): Promise<string> {
    const end = Date.now() + PATIENCE_MS
    for (;;) {
      const screen = await this.shown(o.history)
      if (typeof what === 'function' ? what(screen) : what.test(screen)) return screen
      if (Date.now() > end) throw new Error(`the screen never shows ${what}:\n${screen}`)
      await sleep(25)
    }
  }

  /** The position of the cursor, counted from 0. */
  async cursor(): Promise<{ x: number; y: number }> {
    const { stdout } = await this.#tmux('display-message', '-p', '#{cursor_x} #{cursor_y}')
    const [x, y] = stdout.split(' ').map(Number)
    return { x: x!, y: y! }
  }

  async resize(columns: number, rows: number): Promise<void> {
    await this.#tmux('resize-window', '-x', `${columns}`, '-y', `${rows}`)
  }

  /** Waits until the program has ended, and returns its exit code, as a shell reports it. */
  async ended(): Promise<number> {
    for (const end = Date.now() + PATIENCE_MS; ; await sleep(25)) {
      const code = existsSync(this.#code) ? readFileSync(this.#code, 'utf8').trim() : ''
      if (code) return Number(code)
      if (Date.now() > end) throw new Error(`it does not end:\n${await this.shown()}`)
    }
  }

  /** The process that runs in the terminal. */
  async pid(): Promise<number> {
    const shell = (await this.#tmux('display-message', '-p', '#{pane_pid}')).stdout.trim()
    return Number(readFileSync(`/proc/${shell}/task/${shell}/children`, 'utf8').split(' ')[0])
  }

  #tmux(...args: string[]): Promise<{ stdout: string }> {
    return run('tmux', ['-S', this.#socket, '-u', ...args], { maxBuffer: 64 * 1024 * 1024 })
  }
}
