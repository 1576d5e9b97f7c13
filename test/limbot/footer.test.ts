/** The line of figures after an answer, and the words for its state before that. */
import t from 'tap'
import { footer, state } from '../../limbot/footer.js'

t.test('the line after an answer has its known figures, and escape sequences in it are harmless', async t => {
  const figures = { worker: 'worker-0002', model: 'm\u001b[2J', completion_tokens: 412, tok_s: 38.21, ttft_ms: 210 }
  const whole = { ...figures, prompt_tokens: 530, reason: 'length', resumed: 1 }
  t.equal(
    footer(whole, 4096),
    'worker-0002 (took over) · m␛[2J · 412 tok · 38.2 tok/s · ttft 210 ms · ctx 23 % · cut off: max_tokens',
  )
  t.match(footer({ ...whole, prompt_tokens: 612 }, 1024), / · ctx 100 % · cut off: the context is full$/)
  t.equal(footer({ resumed: 0 }, 0), '')
})

t.test('the state before the first text says the place in the queue, or how much of the prompt is read', async t => {
  t.equal(state({ is: 'queued', position: 3 }), 'queued (2 ahead)')
  t.equal(state({ is: 'queued', position: 1 }), 'queued (next)')
  t.equal(state({ is: 'queued', position: 0 }), undefined)
  t.equal(state({ is: 'prompt', share: 0.607 }), 'prompt 61 %')
  t.equal(state({ is: 'prompt' }), 'prompt')
})
