/** Measures what the sentinel adds to typing in zsh. */

import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { newHome } from './llambo.js'
import { compare, median, type Result, type Skipped } from './measure.js'
import { built } from './programs.js'

const PLUGIN = '/usr/share/zsh-autosuggestions/zsh-autosuggestions.zsh'
/**
 * How many keys one side of a round has, and the time between them, in ms: as a fast typist types, and so slowly that
 * the agent is asked after each key.
 */
const paces = [
  { name: 'typed fast', keys: 60, apart_ms: 40 },
  { name: 'asking after each key', keys: 15, apart_ms: 250 },
]

const what = 'zsh: key to echo, added'

/** A zsh in a terminal, with the plugin and further lines in its start file. */
class Shell {
  readonly #child
  #heard: (text: string) => void = () => undefined

  constructor(env: NodeJS.ProcessEnv & { HOME: string }, lines: string) {
    mkdirSync(env.HOME, { recursive: true })
    writeFileSync(join(env.HOME, '.zshrc'), `PROMPT='%% '\nsource ${PLUGIN}\n${lines}\n`)
    const all = { ...env, ZDOTDIR: env.HOME, TERM: 'xterm', LC_ALL: 'C.UTF-8' }
    this.#child = spawn('script', ['-qfc', 'zsh -d -i', '/dev/null'], { env: all, cwd: env.HOME })
    this.#child.stdout.setEncoding('utf8').on('data', text => this.#heard(text))
  }

  /** Writes a key, and waits until the terminal shows something that contains `echo`. */
  async press(key: string, echo: string): Promise<void> {
    let all = ''
    const heard = new Promise<void>(resolve => {
      this.#heard = text => {
        all += text
        if (all.includes(echo)) resolve()
      }
    })
    this.#child.stdin.write(key)
    await heard
  }

  /** The median time until a key is seen, in ms. */
  async latency(keys: number, apart_ms: number): Promise<number> {
    const times: number[] = []
    for (let i = 0; i < keys; i++) {
      const key = 'qwzxjkv'[i % 7]!
      const began = performance.now()
      await this.press(key, key)
      times.push(performance.now() - began)
      await sleep(apart_ms)
    }
    // starts the line again, so that it does not grow long; the output of C-u is read with that of the next key
    this.#child.stdin.write('\x15')
    return median(times)
  }

  end(): void {
    this.#child.kill('SIGKILL')
  }
}

/**
 * Two rows about typing in zsh with zsh-autosuggestions: with the sentinel, whose agent is asked at every pause and
 * never answers, compared with zsh without it.
 */
export async function* typing(wanted: (what: string) => boolean): AsyncGenerator<Result | Skipped> {
  if (!wanted(what)) return
  if (spawnSync('zsh', ['--version']).error || spawnSync('script', ['--version']).error || !existsSync(PLUGIN))
    return yield { what, skipped: 'zsh, script or zsh-autosuggestions is missing' }
  const [env, bare] = [newHome(), newHome()]
  const dir = join(env.XDG_RUNTIME_DIR!, 'llambo')
  mkdirSync(dir, { recursive: true, mode: 0o700 })
  let asked = 0
  const agent = createServer(socket => void socket.on('error', () => undefined).on('data', () => asked++))
  await new Promise<void>(resolve => agent.listen(join(dir, 'shell.sock'), resolve))
  const sentinel = `LLAMBO_SHELL=auto\neval "$('${process.execPath}' '${built('ctl/llamboctl.js')}' shell zsh)"`
  const shells = [new Shell(env, sentinel), new Shell(bare, '')] as const
  for (const shell of shells) await shell.press('echo re""ady\r', 'ready')
  for (const { name, keys, apart_ms } of paces) {
    asked = 0
    const result = await compare({
      what: `${what}, ${name}`,
      unit: 'ms',
      aim: { most: 0.5 },
      difference: true,
      ours: () => shells[0].latency(keys, apart_ms),
      theirs: () => shells[1].latency(keys, apart_ms),
    })
    yield { ...result, note: `${asked} questions were asked meanwhile` }
  }
  for (const shell of shells) shell.end()
  agent.close()
}
