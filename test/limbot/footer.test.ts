import t from 'tap'
import { footer, state } from '../../limbot/footer.js'

t.test('the line behind an answer says what is known of it, and a server cannot steer a terminal by it', async t => {
  const figures = { worker: 'worker-0002', model: 'm\u001b[2J', completion_tokens: 412, tok_s: 38.21, ttft_ms: 210 }
  const whole = { ...figures, prompt_tokens: 530, reason: 'length', resumed: 1 }
  t.equal(
    footer(whole, 4096),
    'worker-0002 (went on there) · m␛[2J · 412 tok · 38.2 tok/s · ttft 210 ms · ctx 23 % · cut off: max_tokens',
  )
  t.match(footer({ ...whole, prompt_tokens: 612 }, 1024), / · ctx 100 % · cut off: the context is full$/)
  t.equal(footer({ resumed: 0 }, 0), '')
})

t.test('what is under way, while no text comes', async t => {
  t.equal(state({ is: 'queued', position: 3 }), 'queued (2 ahead)')
  t.equal(state({ is: 'queued', position: 1 }), 'queued (next)')
  t.equal(state({ is: 'queued', position: 0 }), undefined)
  t.equal(state({ is: 'prompt', share: 0.607 }), 'prompt 61 %')
  t.equal(state({ is: 'prompt' }), 'prompt')
})
