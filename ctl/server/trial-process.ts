/** Tries a model file out for a worker: loads it and makes one token, so that a file which ends llama.cpp ends nothing else. */
import { createInterface } from 'node:readline'
import { createLlamaEngine } from '../../cluster/worker/engine/llama.js'
import { toFsError } from '../../fs/errors.js'
import type { TrialSpec } from './trial.js'

/** Whatever it says: the file is only to reach the end of what a prompt does. */
const PROMPT = {
  messages: [{ role: 'user', content: 'Hello' }],
  temperature: 0,
  top_p: 1,
  top_k: 0,
  min_p: 0,
  seed: 0,
  max_tokens: 1,
  stop: [],
} as const

const tell = (line: object) => process.stdout.write(`${JSON.stringify(line)}\n`)

const input = createInterface(process.stdin)
// the worker that wanted to know is gone
input.once('close', () => process.exit(1))
input.once('line', async line => {
  try {
    const spec = JSON.parse(line) as TrialSpec
    const engine = await createLlamaEngine({ ...spec, slots: 1 }, undefined, progress => tell({ progress }))
    tell({ loaded: true })
    for await (const _ of engine.generate(PROMPT, new AbortController().signal));
    await engine.close()
    tell({ ok: true })
  } catch (error) {
    const { message, errno } = toFsError(error)
    tell({ message, errno })
  }
  process.exit(0)
})
