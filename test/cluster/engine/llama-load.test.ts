/** Tests of loading models with llama.cpp. */
import { readFile, writeFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { defaultThreads, startRuntime } from '../../../cluster/worker/engine/llama/runtime.js'
import { createLlamaEngine } from '../../../cluster/worker/engine/llama.js'

const path = 'models/llambo-tiny.gguf'
const settings = { slots: 1, threads: 1, gpu: false } as const
const whole = await readFile(path)

/** Writes a changed copy of the model. @returns its path */
async function changed(test: Pick<typeof t, 'testdir'>, change: (bytes: Buffer) => Buffer): Promise<string> {
  const file = join(test.testdir({}), 'model.gguf')
  await writeFile(file, change(Buffer.from(whole)))
  return file
}

/** Overwrites the first occurrence of `from`, which must be as long as `to`. */
function overwrite(bytes: Buffer, from: string, to: string): Buffer {
  bytes.write(to, bytes.indexOf(from))
  return bytes
}

t.test('a file that llama.cpp cannot read is refused, and the process survives', async t => {
  const cases: [string, (bytes: Buffer) => Buffer, RegExp][] = [
    ['half a file', b => b.subarray(0, b.length / 2), /^model file is damaged: /],
    ['24 bytes', b => b.subarray(0, 24), /^model file is damaged: /],
    ['another architecture', b => overwrite(b, 'llama.block_count', 'llaMa.block_count'), /^model file is damaged: /],
    ['a tensor with another name', b => overwrite(b, 'blk.0.attn_q', 'blk.0.attn_x'), /^model file is damaged: /],
    [
      'another number of heads',
      b => {
        // the value follows its key and type: 6 heads become 7, which do not divide the width
        const at = b.indexOf('llama.attention.head_count') + 'llama.attention.head_count'.length + 4
        b.writeUInt32LE(7, at)
        return b
      },
      /^model file is damaged: /,
    ],
  ]
  for (const [name, change, message] of cases) {
    await t.rejects(createLlamaEngine({ path: await changed(t, change), ...settings }), { message, errno: 74 }, name)
  }
  await t.rejects(createLlamaEngine({ path: 'models/none.gguf', ...settings }), { message: /^file does not exist/ })
  const engine = await createLlamaEngine({ path, ...settings })
  t.match(engine, {
    slots: 1,
    model: { name: 'llambo-tiny', size: whole.length, context: 1024, digest: '' },
  })
  await engine.close()
})

t.test('a context that does not fit in memory fails with what it needs and what there is', async t => {
  await t.rejects(createLlamaEngine({ path, ...settings, slots: 64, context: 100_000_000 }), {
    message:
      /^not enough memory for llambo-tiny.gguf with 64 x 100000000 tokens of context: needs \d+ MiB has \d+ MiB$/,
    errno: 12,
  })
})

t.test('an aborted load fails with the reason of its signal', async t => {
  await t.rejects(createLlamaEngine({ path, ...settings }, AbortSignal.abort(new Error('enough'))), {
    message: 'enough',
  })
  const stop = new AbortController()
  const loading = createLlamaEngine({ path, ...settings }, stop.signal)
  stop.abort(new Error('enough'))
  await t.rejects(loading, { message: 'enough' })
})

t.test('a device that is missing is refused by name', async t => {
  await t.rejects(createLlamaEngine({ path, ...settings, gpu: 'metal' }), {
    message: /^operation not supported: llama.cpp has no binary for metal here/,
  })
})

t.test('the default number of threads is one less than the cores, but at least 1', async t => {
  const { llama } = await startRuntime(false)
  const threads = defaultThreads(llama)
  t.ok(threads >= 1 && threads <= Math.max(1, availableParallelism() - 1), `${threads} threads`)
})
