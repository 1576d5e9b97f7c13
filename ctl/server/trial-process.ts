/** Tries a model file out for a worker: loads it and makes one token, so that a file which ends llama.cpp ends nothing else. */
import { MAX_LINE, parseTrialSpec, type parseTrialWord } from '../../api/worker.js'
import type { Written } from '../../api/written.js'
import { createLlamaEngine } from '../../cluster/worker/engine/llama.js'
import { toFsError } from '../../fs/errors.js'
import { eachLine } from './lines.js'

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

/** What parseTrialWord of the worker reads. */
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
// the worker that wanted to know is gone
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
