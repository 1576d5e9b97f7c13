/**
 * The process that tries out a model file for a worker: it loads the file and generates a token, so that a file which
 * crashes llama.cpp crashes only this process.
 */

import { toFsError } from '../../api/errors.js'
import { MAX_LINE, parseTrialSpec, type parseTrialWord } from '../../api/worker.js'
import type { Written } from '../../api/written.js'
import { createLlamaEngine } from '../../cluster/worker/engine/llama.js'
import { eachLine } from './lines.js'

/** Its answer does not matter: the file only has to go through everything that a prompt does. */
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

/** Writes a line for the worker, which reads it with `parseTrialWord`. */
const tell = (line: Written<NonNullable<ReturnType<typeof parseTrialWord>>>) =>
  process.stdout.write(`${JSON.stringify(line)}\n`)

let told = false
eachLine(
  process.stdin,
  line => {
    if (!told) void tryOut(line)
    told = true
  },
  MAX_LINE,
)
// the worker that asked for the trial is gone
process.stdin.once('end', () => process.exit(1)).once('close', () => process.exit(1))

async function tryOut(line: string): Promise<void> {
  try {
    const { threads, ...spec } = parseTrialSpec(line)
    const settings = { ...spec, slots: 1, ...(threads !== undefined && { threads }) }
    const engine = await createLlamaEngine(settings, undefined, progress => tell({ progress }))
    tell({ loaded: true })
    for await (const _ of engine.generate(PROMPT, new AbortController().signal));
    await engine.close()
    tell({ ok: true })
  } catch (error) {
    const { message, errno } = toFsError(error)
    tell({ message, errno })
  }
  process.exit(0)
}
