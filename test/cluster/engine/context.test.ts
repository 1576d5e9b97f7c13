/** Tests of the default context and of the note about it. */
import t from 'tap'
import { contextNote, defaultContext, fits } from '../../../cluster/worker/engine/llama/context.js'
import { type KvType, kvTypes } from '../../../cluster/worker/engine/llama/model.js'
import { createLlamaEngine } from '../../../cluster/worker/engine/llama.js'
import { collect, request } from './common.js'

const GiB = 2 ** 30

t.test('a slot gets 8,192 tokens, or fewer if the model or half of the memory does not allow that', async t => {
  /** Costs of that many bytes per token, for 4 slots. */
  const costs = (bytes: number) => (context: number) => ({ cpuRam: 4 * context * bytes, gpuVram: 0 })
  const of = (trained: number, bytes: number, free: number) =>
    defaultContext(trained, costs(bytes), { cpuRam: free, gpuVram: 0 })
  t.equal(of(131_072, 131_072, 24 * GiB), 8192, '8,192 where there is room')
  t.equal(of(1024, 131_072, 24 * GiB), 1024, 'no more than the model was trained for')
  t.equal(of(131_072, 131_072, 4 * GiB), 4096, 'half of the memory')
  t.equal(of(131_072, 131_072, 4 * GiB - 1), 4096 - 256, 'in steps of 256')
  t.equal(of(131_072, 131_072, 1), 256, 'never less than 256: the load reports that it does not fit')
  t.equal(of(100, 131_072, 1), 100, 'unless the model was trained for less')
  t.notOk(fits({ cpuRam: 1, gpuVram: 2 }, { cpuRam: 9, gpuVram: 1 }), 'each kind of memory is checked')
})

t.test('status says if a context is shorter or longer than what the model was trained for', async t => {
  t.equal(contextNote(1024, 1024, undefined), undefined)
  t.match(contextNote(131_072, 8192, undefined), /^context 8192 of 131072 is the default; .* engine.context gives more/)
  t.match(contextNote(131_072, 4096, undefined), /^context 4096 of 131072 is half of the free memory; /)
  t.equal(contextNote(131_072, 4096, 4096), undefined, 'it was set explicitly')
  t.match(contextNote(1024, 4096, 4096), /^context 4096: beyond the 1024 tokens that the model was trained on/)
})

t.test('a context can be kept in each type, and status says when it is too long', async t => {
  const path = 'models/llambo-tiny.gguf'
  for (const kvType of kvTypes as readonly KvType[]) {
    const engine = await createLlamaEngine({ path, slots: 1, context: 2048, threads: 1, gpu: false, kvType })
    t.match(engine.model, { context: 2048, note: /beyond the 1024/ }, kvType)
    const { text } = await collect(engine, request({ messages: [{ role: 'user', content: 'Hello' }], max_tokens: 8 }))
    t.not(text, '', `${kvType}: ${text}`)
    await engine.close()
  }
})
