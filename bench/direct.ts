/**
 * `node direct.js MODEL THREADS SEQUENCES`: node-llama-cpp and nothing else in this one process, for comparison with
 * llambo. A child with an IPC channel: it says `ready` once the model is loaded, then answers each Run.
 */

import { getLlama, LlamaChat, type LlamaContextSequence, LlamaLogLevel } from 'node-llama-cpp'

/** Runs one stream for each prompt, all at once, each for this many tokens. */
export interface Run {
  prompts: string[]
  tokens: number
}
export interface Ran {
  /** Time from the request to the first token of the first stream, in ms. */
  first_ms: number
  /** Tokens made in all streams. */
  tokens: number
}

const [path, threads, slots] = process.argv.slice(2)
const llama = await getLlama({
  gpu: false,
  build: 'never',
  progressLogs: false,
  maxThreads: 0,
  logLevel: LlamaLogLevel.error,
})
const model = await llama.loadModel({ modelPath: path! })
const context = await model.createContext({ sequences: Number(slots), threads: Number(threads) })
const sequences = Array.from({ length: Number(slots) }, () => context.getSequence())
const chat = new LlamaChat({ contextSequence: sequences[0]! })

async function answer(
  sequence: LlamaContextSequence,
  prompt: string,
  tokens: number,
  first: () => void,
): Promise<number> {
  const { contextText } = chat.chatWrapper.generateContextState({
    chatHistory: [
      { type: 'user', text: prompt },
      { type: 'model', response: [] },
    ],
  })
  let text = ''
  let made = 0
  for await (const token of sequence.evaluate(contextText.tokenize(model.tokenizer), {
    temperature: 0,
    yieldEogToken: true,
  })) {
    if (model.isEogToken(token)) break
    text += model.detokenize([token])
    if (made === 0) first()
    if (++made === tokens) break
  }
  if (made > 0 && text === '') throw new Error(`${made} tokens without a word`)
  return made
}

process.on('message', async ({ prompts, tokens }: Run) => {
  for (const sequence of sequences) await sequence.clearHistory()
  const began = performance.now()
  let first: number | undefined
  const made = await Promise.all(
    prompts.map((prompt, i) =>
      answer(sequences[i]!, prompt, tokens, () => {
        first ??= performance.now() - began
      }),
    ),
  )
  process.send!({ first_ms: first!, tokens: made.reduce((a, b) => a + b) } satisfies Ran)
})
process.send!('ready')
