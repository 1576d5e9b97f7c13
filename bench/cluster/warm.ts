/** Measures how much faster a worker answers if it has the beginning of a conversation in its cache. */

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseAnswerEvent } from '../../api/answer.js'
import { type RequestBody, requestText } from '../../api/request.js'
import { Client, type Fid } from '../../fs/client/client.js'
import { dial } from '../../fs/dial.js'
import { ORDWR, OREAD } from '../../fs/wire/protocol.js'
import { newHome, up } from '../llambo.js'
import { type Result, summary } from '../measure.js'
import { MEDIUM, writeModel } from '../model.js'
import { scratch } from '../programs.js'

const ROUNDS = 5
/** The approximate number of tokens in the beginning of a conversation. */
const PREFIX = 2000
/** How many tokens a word of two syllables has, with the space before it. */
const TOKENS_PER_WORD = 2

interface Message {
  role: 'user' | 'assistant'
  content: string
}

/** A text without meaning, different from every other. */
function text(words: number): string {
  const syllable = () =>
    'bcdfghjklmnpqrstvwxyz'[Math.floor(Math.random() * 21)]! + 'aeiou'[Math.floor(Math.random() * 5)]
  return Array.from({ length: words }, () => syllable() + syllable()).join(' ')
}

/** Runs one turn to its end. Returns the ms to the first token, the number of tokens in the prompt, and the answer. */
async function turn(root: Fid, request: RequestBody): Promise<{ ms: number; prompt: number; answer: string }> {
  const began = performance.now()
  const fid = await (await root.walk(['generate'])).open(ORDWR)
  await fid.write(0, Buffer.from(requestText({ ...request, max_tokens: 8, temperature: 0 })))
  let ms: number | undefined
  let said = ''
  for (let piece: Uint8Array; (piece = await fid.read(said.length, 65536)).length > 0; ) {
    said += Buffer.from(piece).toString('latin1')
    if (said.includes('"event":"token"')) ms ??= performance.now() - began
  }
  await fid.clunk()
  const events = Buffer.from(said, 'latin1').toString().trimEnd().split('\n').map(parseAnswerEvent)
  const start = events.find(event => event.event === 'start')
  if (ms === undefined || !start) throw new Error(said.slice(-300))
  const answer = events.map(event => (event.event === 'token' ? event.text : '')).join('')
  return { ms, prompt: start.prompt_tokens ?? 0, answer }
}

async function newSession(root: Fid): Promise<string> {
  const clone = await (await root.walk(['session', 'clone'])).open(OREAD)
  return Buffer.from(await clone.read(0, 64))
    .toString()
    .trim()
}

/**
 * Compares the second turn of a conversation with its first. There are two workers, and one of them has the beginning
 * in its cache.
 */
export async function* warm(wanted: (what: string) => boolean): AsyncGenerator<Result> {
  const rows = (['of a session', 'without a session'] as const).map(how => ({
    how,
    what: `second turn ${how}, ${PREFIX} tokens before it: prompt time, to the first's`,
    unit: 'ms',
    aim: { most: 0.2 },
  }))
  const chosen = rows.filter(({ what }) => wanted(what))
  if (chosen.length === 0) return
  const model = join(scratch, 'warm.gguf')
  writeModel(model, { ...MEDIUM, context: 4096 })
  const env = newHome()
  writeFileSync(join(env.HOME, 'config.yaml'), 'engine: {threads: 1, gpu: "off", context: 4096}\n')
  const config = join(env.HOME, 'config.yaml')
  const server = up(env, '--model', model, '--workers', '2', '--slots', '2', '--no-mount', '--config', config)
  const client = await Client.connect(await dial(server.unix))
  const root = await client.attach({ uname: '' })
  for (const { how, ...row } of chosen) {
    const first: number[] = []
    const second: number[] = []
    let prompt = 0
    for (let round = 0; round < ROUNDS; round++) {
      const session = how === 'of a session' ? { session: await newSession(root) } : {}
      const messages: Message[] = [{ role: 'user', content: text(PREFIX / TOKENS_PER_WORD) }]
      const cold = await turn(root, { ...session, messages })
      const next: Message = { role: 'user', content: text(10) }
      const before: Message[] = [...messages, { role: 'assistant', content: cold.answer }]
      const again = await turn(root, { ...session, messages: 'session' in session ? [next] : [...before, next] })
      first.push(cold.ms)
      second.push(again.ms)
      prompt = cold.prompt
    }
    yield summary({ ...row, note: `the first turn had ${prompt} tokens` }, second, first)
  }
  client.close()
  server.stop()
}
