/** Measures limbot at a terminal: its start, and the echo of keys. */

import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { newHome, up } from './llambo.js'
import { compare, type Result, summary } from './measure.js'
import { built } from './programs.js'

/** How many keys a round has, and the pause between two keys, in ms. */
const KEYS = 100
const PAUSE_MS = 40
/** Tokens a second of the answer that streams at the same time. */
const RATE = 200

/** A program in a pseudo-terminal of script(1), written to and read through pipes. */
class Pseudo {
  said = ''
  readonly child: ChildProcessWithoutNullStreams
  #wake: () => void = () => {}
  readonly ended: Promise<void>

  constructor(command: readonly string[], env: NodeJS.ProcessEnv) {
    this.child = spawn('script', ['-qfec', command.join(' '), '/dev/null'], { env: { ...env, TERM: 'xterm' } })
    this.child.stdout.setEncoding('utf8').on('data', text => {
      this.said += text
      this.#wake()
    })
    this.ended = new Promise(resolve => this.child.once('exit', () => resolve()))
  }

  async says(what: string): Promise<void> {
    while (!this.said.includes(what))
      await new Promise<void>(resolve => {
        this.#wake = resolve
      })
  }

  /** The time until each key is seen, in ms. */
  async echoes(): Promise<number[]> {
    const times: number[] = []
    for (let i = 1; i <= KEYS; i++) {
      await sleep(PAUSE_MS * (0.5 + Math.random()))
      this.said = ''
      const began = performance.now()
      this.child.stdin.write('z')
      await this.says('z')
      times.push(performance.now() - began)
    }
    return times
  }

  async end(): Promise<void> {
    this.child.kill('SIGKILL')
    await this.ended
  }
}

const limbot = [process.execPath, built('limbot/limbot.js')]

/** Measures the time from the start to the prompt, compared with a Node that does nothing. */
export function prompt(): Promise<Result> {
  const env = newHome()
  return compare({
    what: 'limbot to its prompt, more than node -e 0',
    unit: 'ms',
    aim: { most: 150 },
    difference: true,
    rounds: 11,
    async ours() {
      const began = performance.now()
      const one = new Pseudo(limbot, env)
      await one.says('You: ')
      const ms = performance.now() - began
      await one.end()
      return ms
    },
    async theirs() {
      const began = performance.now()
      await new Pseudo([process.execPath, '-e', '0'], env).ended
      return performance.now() - began
    },
  })
}

/**
 * Measures the time until a key is on the screen while an answer streams, the slowest of a hundred, compared with
 * cat(1), whose keys the kernel echoes.
 */
export async function echo(): Promise<Result> {
  const env = {
    ...newHome(),
    LLAMBO_ENGINE: 'echo',
    LLAMBO_ENGINE_RATE: String(RATE),
    LLAMBO_LIMBOT_MAX_TOKENS: '1000000',
  }
  const server = up(env, '--no-mount')
  const chat = new Pseudo(limbot, env)
  const cat = new Pseudo(['cat'], env)
  await chat.says('You: ')
  chat.child.stdin.write('one two three four x900000\r')
  await chat.says('8:one')
  const ours: number[] = []
  const theirs: number[] = []
  for (let round = 0; round < 5; round++) {
    ours.push(Math.max(...(await chat.echoes())))
    theirs.push(Math.max(...(await cat.echoes())))
  }
  await Promise.all([chat.end(), cat.end()])
  server.stop()
  return summary(
    {
      what: `limbot, slowest of ${KEYS} keys at ${RATE} tokens/s, more than cat`,
      unit: 'ms',
      aim: { most: 16 },
      difference: true,
    },
    ours,
    theirs,
  )
}
