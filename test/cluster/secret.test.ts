/** Codes made with a secret. */
import { createHmac } from 'node:crypto'
import t from 'tap'
import { hmac } from '../../cluster/secret.js'

t.test('an HMAC is the one of RFC 2104, whatever the lengths of key and text', async t => {
  for (const key of ['', 'k', 'k'.repeat(63), 'k'.repeat(64), 'k'.repeat(65), 'ä'.repeat(100)]) {
    const code = hmac(key)
    for (const text of ['', 'join', '["worker-0001","41",1,"ann",1000,null]', '日本語'.repeat(1000)])
      t.equal(code(text), createHmac('sha256', key).update(text).digest('hex'), `${key.length} and ${text.length}`)
  }
})
