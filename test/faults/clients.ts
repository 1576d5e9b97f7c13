/** Clients that ask in different ways, and check their answers. */

import { spawn } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { ndjson, readAll, type Tree } from '../cluster/worker/fixture.js'
import { ended } from '../mnt/fixture.js'
import { must } from './stage.js'

/** The answer of engine echo to these words, if it is asked for n tokens. */
export const echo = (words: readonly string[], n: number): string =>
  Array.from({ length: n }, (_, i) => `${i}:${words[i % words.length]}`).join(' ')

/** A prompt and its complete answer. */
export interface Prompt {
  readonly text: string
  readonly answer: string
}

export const echoPrompt = (name: string, tokens: number): Prompt => {
  const words = [name, 'red', 'green', 'blue']
  return { text: `${words.join(' ')} x${tokens}`, answer: echo(words, tokens) }
}

/** One way to ask. @throws if no complete answer came; `Wrong` if a different answer came */
export type Asker = (prompt: Prompt) => Promise<void>

/** An answer that is not the right one. This must never happen, whatever fails. */
export class Wrong extends Error {}

function same(got: string, wanted: string): void {
  if (got === wanted) return
  let at = 0
  while (got[at] === wanted[at]) at++
  const around = (text: string) => JSON.stringify(text.slice(Math.max(0, at - 20), at + 20))
  throw new Wrong(`byte ${at} of ${wanted.length}: ${around(got)}, not ${around(wanted)}`)
}

/** Checks an answer. If reading it fails, what came before the failure must be right as well. */
async function wholly(read: (part: { text: string }) => Promise<void>, wanted: string): Promise<void> {
  const part = { text: '' }
  try {
    await read(part)
  } catch (error) {
    if (!wanted.startsWith(part.text)) same(part.text, wanted)
    throw error
  }
  same(part.text, wanted)
}

/** Asks by `data`, of the root or of a session, over 9P. */
export const byData =
  (tree: Tree, path = 'data'): Asker =>
  ({ text, answer }) =>
    wholly(async part => {
      const fid = await tree.open(path)
      try {
        await fid.write(0, new TextEncoder().encode(text))
        for (let at = 0, piece: Uint8Array; (piece = await fid.read(at, 65536)).length > 0; at += piece.length)
          part.text += Buffer.from(piece)
      } finally {
        fid.clunk().catch(() => undefined)
      }
    }, `${answer}\n`)

/** Asks by `generate` over 9P, and checks that its events are consistent. */
export const byGenerate =
  (tree: Tree, more: object = {}): Asker =>
  async ({ text, answer }) => {
    const fid = await tree.open('generate')
    let lines: Record<string, unknown>[]
    try {
      await fid.write(
        0,
        new TextEncoder().encode(JSON.stringify({ messages: [{ role: 'user', content: text }], ...more })),
      )
      lines = ndjson(await readAll(fid))
    } finally {
      fid.clunk().catch(() => undefined)
    }
    story(lines, answer)
  }

/** Checks a stream's events against the answer. @throws the message of its `error` event, if it ended in one */
export function story(lines: readonly Record<string, unknown>[], answer: string): void {
  let given = ''
  let tokens = 0
  for (const { event, text, ids, at } of lines) {
    if (event === 'token') {
      given += text
      tokens += (ids as unknown[]).length
    } else if (event === 'resume' && at !== tokens) throw new Wrong(`resume at ${at} after ${tokens} tokens`)
  }
  const last = lines.at(-1)
  if (last?.event === 'error') {
    if (!answer.startsWith(given)) same(given, answer)
    if (last.tokens !== tokens) throw new Wrong(`the error says ${last.tokens} tokens are good, there were ${tokens}`)
    throw new Error(String(last.error))
  }
  same(given, answer)
  if (last?.event !== 'end' || last.completion_tokens !== tokens)
    throw new Wrong(`${tokens} tokens, and the end is ${JSON.stringify(last)}`)
}

/** Asks by a session's `data` over 9P. `check` compares the session's history with what was said. */
export async function bySession(tree: Tree): Promise<Asker & { check(): Promise<void> }> {
  const id = await tree.session()
  const ask = byData(tree, `session/${id}/data`)
  const turns: string[] = []
  const asker = async (prompt: Prompt) => {
    await ask(prompt)
    turns.push(prompt.text, prompt.answer)
  }
  const check = async () => {
    const history = ndjson(await tree.read(`session/${id}/history`)).map(({ content }) => content)
    if (JSON.stringify(history) !== JSON.stringify(turns))
      throw new Wrong(`session ${id} has ${history.length} messages in its history, ${turns.length} were said`)
  }
  return Object.assign(asker, { check })
}

/** Asks by `data` on a mount, in a shell. */
export const byMount =
  (mount: string): Asker =>
  ({ text, answer }) =>
    wholly(async part => {
      const script = 'exec 3<>"$0/data" && printf %s "$1" >&3 && cat <&3'
      const args = ['-s', 'KILL', '150', 'sh', '-c', script, mount, text]
      const ran = await ended(spawn('timeout', args, { stdio: ['ignore', 'pipe', 'pipe'], cwd: '/' }))
      part.text = ran.out
      if (ran.code !== 0) throw new Error(ran.err.trim() || `exit ${ran.code ?? ran.signal}`)
    }, `${answer}\n`)

/** Counts requests, and what came of them. */
export class Tally {
  completed = 0
  readonly failed: string[] = []
  readonly wrong: string[] = []
  /** The shortest time from asking to a complete answer, in ms. */
  shortest_ms = Number.POSITIVE_INFINITY

  get asked(): number {
    return this.completed + this.failed.length + this.wrong.length
  }

  async count(asker: Asker, prompt: Prompt, who: string): Promise<void> {
    const began = performance.now()
    try {
      await asker(prompt)
      this.completed++
      this.shortest_ms = Math.min(this.shortest_ms, performance.now() - began)
    } catch (error) {
      const line = `${who}: ${(error as Error).message}`
      if (error instanceof Wrong) this.wrong.push(line)
      else this.failed.push(line)
      // a client of a server that is gone fails at once, again and again: nothing else would get its turn
      await sleep(100)
    }
  }

  /** Each asker asks one thing after another until `stop`. Resolves when all have had their last answers. */
  async load(
    askers: Readonly<Record<string, Asker>>,
    prompt: (who: string, n: number) => Prompt,
    stop: AbortSignal,
  ): Promise<void> {
    await Promise.all(
      Object.entries(askers).map(async ([who, asker]) => {
        for (let n = 0; !stop.aborted; n++) await this.count(asker, prompt(who, n), who)
      }),
    )
  }

  /** @throws if an answer was wrong, or if less than `share` of the answers are complete */
  check(share: number): string {
    must(this.wrong.length === 0, `${this.wrong.length} wrong answers: ${this.wrong.slice(0, 5).join('; ')}`)
    const done = this.completed / this.asked
    must(done >= share, `${this.completed} of ${this.asked} completed; ${this.failed.slice(0, 5).join('; ')}`)
    return `${this.completed} of ${this.asked} answers whole, 0 wrong`
  }
}
