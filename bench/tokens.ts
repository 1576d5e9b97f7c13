/** Measures what llambo adds to the cost of tokens. */

import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readSync, writeFileSync, writeSync } from 'node:fs'
import { type FileHandle, open, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseAnswerEvent } from '../api/answer.js'
import { metricOf } from '../api/metrics.js'
import { requestText } from '../api/request.js'
import { Client } from '../fs/client/client.js'
import { dial } from '../fs/dial.js'
import { ORDWR } from '../fs/wire/protocol.js'
import { fuseProblem } from '../mnt/mount.js'
import type { Ran, Run } from './direct.js'
import { type Llambo, newHome, up } from './llambo.js'
import { type Comparison, compare, median, type Result, type Side, type Skipped, time } from './measure.js'
import { MEDIUM, type Shape, SMALL, writeModel } from './model.js'
import { built, scratch } from './programs.js'

const STREAMS = 8
const TOKENS = { 1: 128, [STREAMS]: 64 } as const
/** How many first tokens are timed for one figure. */
const FIRSTS = 200
/** The number of threads for both sides: as many as llambo takes by itself on the smallest machines. */
const THREADS = 1

let asked = 0
/** Prompts that begin differently, so that neither side finds one in its cache. */
const prompts = (n: number) => Array.from({ length: n }, () => `${++asked}: say something about files`)

async function startDirect(model: string): Promise<ChildProcess> {
  const child = fork(built('bench/direct.js'), [model, `${THREADS}`, `${STREAMS}`])
  process.once('exit', () => child.kill('SIGKILL'))
  child.once('exit', code => {
    if (code) throw new Error(`node-llama-cpp alone: exit ${code}`)
  })
  await once(child, 'message')
  return child
}

async function direct(child: ChildProcess, run: Run): Promise<Ran> {
  const answered = once(child, 'message')
  child.send(run)
  return (await answered)[0]
}

/** Writes a prompt to `data` and reads the answer, on one descriptor. */
async function throughFuse(dir: string, prompt: string): Promise<void> {
  const file: FileHandle = await open(join(dir, 'data'), 'r+')
  try {
    await file.write(prompt)
    const buffer = new Uint8Array(65536)
    while ((await file.read(buffer, 0, buffer.length, null)).bytesRead > 0);
  } finally {
    await file.close()
  }
}

/**
 * The same without Node's thread pool in between, as cat(1) does it. Returns the ms until the first bytes of the
 * answer.
 */
function firstBytes(dir: string, prompt: string): number {
  const began = performance.now()
  const fd = openSync(join(dir, 'data'), 'r+')
  try {
    writeSync(fd, prompt)
    const buffer = new Uint8Array(65536)
    readSync(fd, buffer)
    const ms = performance.now() - began
    while (readSync(fd, buffer) > 0);
    return ms
  } finally {
    closeSync(fd)
  }
}

async function completed(dir: string): Promise<number> {
  const text = await readFile(join(dir, 'metrics'), 'utf8')
  return metricOf(text, 'llambo_completion_tokens_total') ?? 0
}

/** A server with that model, and the same model loaded by node-llama-cpp alone. */
async function sides(name: string, shape: Shape): Promise<{ server: Llambo; child: ChildProcess; stop(): void }> {
  const model = join(scratch, `${name}.gguf`)
  writeModel(model, shape)
  const child = await startDirect(model)
  const env = newHome()
  writeFileSync(join(env.HOME, 'config.yaml'), `engine: {threads: ${THREADS}, gpu: "off"}\n`)
  const server = up(env, '--model', model, '--slots', `${STREAMS}`, '--config', join(env.HOME, 'config.yaml'))
  await writeSetting(server, 'temperature 0')
  return {
    server,
    child,
    stop() {
      child.kill()
      server.stop()
    },
  }
}

const writeSetting = async (server: Llambo, setting: string) => {
  const ctl = await open(join(server.dir, 'ctl'), 'w')
  await ctl.write(setting)
  await ctl.close()
}

async function* speed(wanted: (what: string) => boolean): AsyncGenerator<Result> {
  const rows = ([1, STREAMS] as const).flatMap(streams =>
    (['FUSE data', 'WebSocket generate'] as const).map(
      way => [`tokens through ${way}, ${streams} at once`, way, streams] as const,
    ),
  )
  const chosen = rows.filter(([what]) => wanted(what))
  if (chosen.length === 0) return
  const { server, child, stop } = await sides('medium', MEDIUM)
  const transport = await dial(server.ws, { token: server.token })
  const client = await Client.connect(transport)
  const root = await client.attach({ uname: 'bench' })

  const generate = async (prompt: string, tokens: number) => {
    const request = requestText({ messages: [{ role: 'user', content: prompt }], max_tokens: tokens, temperature: 0 })
    const fid = await (await root.walk(['generate'])).open(ORDWR)
    await fid.write(0, Buffer.from(request))
    const parts: Uint8Array[] = []
    for (let at = 0; at === 0 || parts.at(-1)!.length > 0; at += parts.at(-1)!.length)
      parts.push(await fid.read(at, client.msize - 24))
    await fid.clunk()
    const last = Buffer.concat(parts).toString().trimEnd().split('\n').at(-1)!
    const end = parseAnswerEvent(last)
    if (end.event !== 'end') throw new Error(last)
    return end.completion_tokens ?? 0
  }
  for (const [what, way, streams] of chosen) {
    const tokens = TOKENS[streams]!
    // tokens are counted, not assumed: by chance, one in a hundred answers of a random model ends early
    const rated = async (run: () => Promise<number>) => {
      let made = 0
      const ms = await time(async () => {
        made = await run()
      })
      return made / (ms / 1000)
    }
    const ours: Record<typeof way, Side> = {
      'FUSE data': async () => {
        await writeSetting(server, `max_tokens ${tokens}`)
        const before = await completed(server.dir)
        return rated(async () => {
          await Promise.all(prompts(streams).map(prompt => throughFuse(server.dir, prompt)))
          return (await completed(server.dir)) - before
        })
      },
      'WebSocket generate': () =>
        rated(async () => {
          const made = await Promise.all(prompts(streams).map(prompt => generate(prompt, tokens)))
          return made.reduce((a, b) => a + b)
        }),
    }
    const theirs = () => rated(async () => (await direct(child, { prompts: prompts(streams), tokens })).tokens)
    await ours[way]()
    await theirs()
    yield await compare({ what, unit: '/s', aim: { least: 0.97 }, ours: ours[way], theirs })
  }
  client.close()
  stop()
}

async function* firstTokens(wanted: (what: string) => boolean): AsyncGenerator<Result> {
  const at = (rank: number) => (values: number[]) => values.sort((a, b) => a - b)[Math.ceil(values.length * rank) - 1]!
  const rows: [string, Comparison['aim'], (values: number[]) => number][] = [
    ['first token through FUSE data, more than alone, median', { most: 2 }, median],
    ['first token through FUSE data, more than alone, p99', { most: 8 }, at(0.99)],
  ]
  const chosen = rows.filter(([what]) => wanted(what))
  if (chosen.length === 0) return
  const { server, child, stop } = await sides('small', SMALL)
  await writeSetting(server, 'max_tokens 1')
  const many = (one: () => number | Promise<number>, of: (values: number[]) => number) => async () => {
    const values: number[] = []
    for (let i = 0; i < FIRSTS; i++) values.push(await one())
    return of(values)
  }
  const ours = () => firstBytes(server.dir, prompts(1)[0]!)
  const theirs = async () => (await direct(child, { prompts: prompts(1), tokens: 1 })).first_ms
  for (const [what, aim, of] of chosen) {
    const row = { what, unit: 'ms', aim, difference: true, ours: many(ours, of), theirs: many(theirs, of) }
    await row.ours()
    await row.theirs()
    yield await compare(row)
  }
  stop()
}

/**
 * Measures what files, 9P and FUSE cost an answer: a mounted server, compared with node-llama-cpp alone in a process.
 */
export async function* tokens(wanted: (what: string) => boolean): AsyncGenerator<Result | Skipped> {
  const problem = await fuseProblem()
  if (problem) {
    if (wanted('token')) yield { what: 'tokens', skipped: problem }
    return
  }
  yield* speed(wanted)
  yield* firstTokens(wanted)
}
