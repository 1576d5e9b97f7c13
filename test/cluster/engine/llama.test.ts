import { readFile } from 'node:fs/promises'
import t from 'tap'
import type { ChatMessage, Engine } from '../../../cluster/worker/engine/engine.js'
import { createLlamaEngine } from '../../../cluster/worker/engine/llama.js'
import { collect, request } from './common.js'

const path = 'models/llambo-tiny.gguf'
const load = (slots: number, context?: number) =>
  createLlamaEngine({ path, slots, threads: 1, gpu: false, digest: 'sha256:test', ...(context && { context }) })

/** One model for the file: a load is a second. */
const engine = await load(8)
t.teardown(() => engine.close())

const user = (content: string): ChatMessage => ({ role: 'user', content })
const ask = (content: string, changes = {}, signal?: AbortSignal, on: Engine = engine) =>
  collect(on, request({ messages: [user(content)], max_tokens: 220, ...changes }), signal)

interface Recorded {
  turns: string[]
  /** The system prompt; null: none; not there: node-llama-cpp's own, below. */
  sys?: string | null
  answers: string[]
}
const recorded: Recorded[] = JSON.parse(await readFile('models/eval/heldout_results.json', 'utf8'))

/** What LlamaChatSession says before a conversation for which nobody gave a system prompt. */
const system: ChatMessage = {
  role: 'system',
  content: `You are a helpful, respectful and honest assistant. Always answer as helpfully as possible.
If a question does not make any sense, or is not factually coherent, explain why instead of answering something incorrectly. If you don't know the answer to a question, don't share false information.`,
}

/** Two tokens can be so near each other that another CPU's rounding prefers the other one. More than this is no rounding. */
const NEAR_TIES = 4

t.test('the greedy answers recorded with the model come out as they are recorded', async t => {
  const differ: string[] = []
  await Promise.all(
    recorded.map(async ({ turns, sys, answers }) => {
      const messages: ChatMessage[] = sys === null ? [] : [sys === undefined ? system : { role: 'system', content: sys }]
      for (const [i, turn] of turns.entries()) {
        messages.push(user(turn))
        const out = await collect(engine, request({ messages: [...messages], max_tokens: 220 }))
        if (out.text !== answers[i]!.trimEnd()) differ.push(`${turn}\n  recorded ${answers[i]}\n  now      ${out.text}`)
        messages.push({ role: 'assistant', content: answers[i]! })
      }
    }),
  )
  t.comment(`${recorded.length} conversations, ${differ.length} answers differ (${NEAR_TIES} may, by near ties)`)
  for (const each of differ) t.comment(each)
  t.ok(differ.length <= NEAR_TIES, `${differ.length} answers differ from the recorded ones`)
})
