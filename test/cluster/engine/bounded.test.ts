/** Tests that chat templates, schemas and requests cannot keep the process busy. */

import t from 'tap'
import { parseRequest } from '../../../api/request.js'
import { bounded } from '../../../cluster/worker/engine/llama/bounded.js'
import { grammarOf } from '../../../cluster/worker/engine/llama/grammar.js'
import { loadLibrary } from '../../../cluster/worker/engine/llama/library.js'
import { Prompter } from '../../../cluster/worker/engine/llama/prompt.js'

const late = () => new Error('late')

t.test('code that takes too long is stopped wherever it is', async t => {
  t.throws(
    () =>
      bounded(
        100,
        () => {
          for (;;) {
            try {
              for (;;);
            } catch {
              // never reached
            }
          }
        },
        late,
      ),
    { message: 'late' },
    'a loop that catches everything',
  )
  t.throws(
    () => bounded(100, () => /^(a+)+$/.test(`${'a'.repeat(50)}b`), late),
    { message: 'late' },
    'a regular expression',
  )
  t.equal(
    bounded(10_000, () => 7, late),
    7,
  )
  t.throws(
    () =>
      bounded(
        10_000,
        () => {
          throw new Error('its own')
        },
        late,
      ),
    { message: 'its own' },
  )
  t.equal(
    bounded(10_000, () => bounded(10_000, () => 8, late), late),
    8,
    'nested calls',
  )
})

t.test('a chat template that does not end is refused when the model is loaded', async t => {
  const library = await loadLibrary()
  const loops =
    "{% for a in range(3000) %}{% for b in range(3000) %}{% for c in range(3000) %}x{% endfor %}{% endfor %}{% endfor %}{{ messages[0]['content'] }}"
  const model = { fileInfo: { metadata: { tokenizer: { chat_template: loops } } } }
  t.throws(() => new Prompter(library, model as never), {
    message: 'model file is damaged: its chat template did not finish within 5 s',
    errno: 74,
  })
})

t.test('a schema or a request that would take long is refused before it is parsed', async t => {
  const values = Array.from({ length: 100_000 }, (_, i) => `value ${i}`)
  t.throws(() => grammarOf({ enum: values }), { message: 'bad argument: schema: enum: over 2000 values in all' })
  const half = { enum: values.slice(0, 1001) }
  t.throws(() => grammarOf({ anyOf: [half, half] }), { message: /enum: over 2000 values in all/ })
  t.throws(() => grammarOf({ const: 'x'.repeat(600_000) }), { message: /its grammar has over 524288 characters/ })
  t.ok(grammarOf({ enum: values.slice(0, 2000) }))
  for (const key of ['schema', 'tools', 'stop', 'prefix_ids', 'no such']) {
    const text = `{"prompt":"x","${key}":${'['.repeat(5000)}${']'.repeat(5000)}}`
    t.throws(
      () => parseRequest(text),
      { message: 'bad argument: request: lists and objects are nested over 256 deep', errno: 22 },
      key,
    )
  }
  t.ok(parseRequest(`{"prompt":"${'[{'.repeat(5000)}"}`), 'brackets in a string do not count as depth')
})
