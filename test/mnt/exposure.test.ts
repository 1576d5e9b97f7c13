/** Which listening addresses need a token and TLS. */
import t from 'tap'
import { isLoopback } from '../../fs/host-name.js'
import { checkExposure } from '../../mnt/exposure.js'

const nothing = { token: false, tls: false }

t.test('a loopback address needs neither a token nor TLS, under any of its names', async t => {
  for (const host of ['127.0.0.1', '127.8.9.10', '::1', '[::1]', 'localhost', 'LocalHost']) {
    t.ok(isLoopback(host), host)
    t.doesNotThrow(() => checkExposure('x', host, nothing))
  }
})

t.test('names and addresses that only look like loopback are refused', async t => {
  for (const host of [
    '0.0.0.0',
    '::',
    '',
    '*',
    '127.0.0.1.evil.example',
    '127.evil.example',
    'localhost.evil.example',
    '10.0.0.1',
    '::ffff:10.0.0.1',
    '128.0.0.1',
  ]) {
    t.notOk(isLoopback(host), host)
    t.throws(() => checkExposure('x', host, nothing), { message: /^permission denied/ })
  }
})

t.test('other addresses need a token and TLS, and the error names what is missing and the remedy', async t => {
  const refusal = (has: { token: boolean; tls: boolean }) => {
    try {
      checkExposure('tcp!0.0.0.0!5640', '0.0.0.0', has)
      return 'allowed'
    } catch (e) {
      return (e as Error).message
    }
  }
  t.equal(
    refusal(nothing),
    'permission denied: other machines can reach tcp!0.0.0.0!5640, so it needs a token (auth: token) and TLS (wss://); or listen on 127.0.0.1',
  )
  t.match(refusal({ token: true, tls: false }), /needs TLS/)
  t.match(refusal({ token: false, tls: true }), /needs a token/)
  t.equal(refusal({ token: true, tls: true }), 'allowed')
})
