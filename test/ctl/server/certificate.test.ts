/** Tests the certificate of wss listeners. */
import { X509Certificate } from 'node:crypto'
import { chmodSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { Config } from '../../../cli/settings.js'
import { certificate } from '../../../ctl/server/certificate.js'

const none = {} as Config
const DAY_MS = 86_400_000

t.test('a certificate is made once, is private to the user, and is kept', async t => {
  const dir = join(t.testdir(), 'state')
  const made = await certificate(none, dir)
  const path = join(dir, 'certificate.pem')
  t.same(readdirSync(dir), ['certificate.pem'])
  t.equal(statSync(path).mode & 0o777, 0o600)
  t.equal(statSync(dir).mode & 0o777, 0o700)
  const x509 = new X509Certificate(made.cert)
  t.equal(x509.publicKey.asymmetricKeyDetails?.namedCurve, 'prime256v1')
  t.equal(made.fingerprint, `sha256:${x509.fingerprint256.replaceAll(':', '').toLowerCase()}`)
  t.ok(x509.verify(x509.publicKey), 'it is self-signed')
  t.notOk(x509.ca, 'it cannot sign others')
  const again = await certificate(none, dir)
  t.equal(again.fingerprint, made.fingerprint)
  t.not(
    (await certificate(none, join(dir, 'other'))).fingerprint,
    made.fingerprint,
    'another server has another certificate',
  )
})

t.test('a new certificate is made when less than a year of its ten is left', async t => {
  const dir = t.testdir()
  const now = Date.now()
  const made = await certificate(none, dir, now)
  t.equal((await certificate(none, dir, now + 8.9 * 365 * DAY_MS)).fingerprint, made.fingerprint)
  const later = now + 9.1 * 365 * DAY_MS
  const young = await certificate(none, dir, later)
  t.not(young.fingerprint, made.fingerprint)
  t.ok(Date.parse(new X509Certificate(young.cert).validTo) - later > 9 * 365 * DAY_MS)
  t.equal((await certificate(none, dir, later)).fingerprint, young.fingerprint)
})

t.test('servers that start at the same time have the same certificate', async t => {
  const dir = t.testdir()
  const all = await Promise.all(Array.from({ length: 4 }, () => certificate(none, dir)))
  t.equal(new Set(all.map(({ fingerprint }) => fingerprint)).size, 1)
})

t.test('files that the user sets are used, and errors in them name the file', async t => {
  const dir = t.testdir()
  const { cert, fingerprint } = await certificate(none, dir)
  const own = join(dir, 'certificate.pem')
  const files = (more: object) => ({ 'tls.cert': own, 'tls.key': own, ...more }) as Config
  const where = join(dir, 'state')
  t.match(await certificate(files({}), where), { cert, key: cert, fingerprint })
  t.throws(() => statSync(where), 'a certificate is not made')
  const nonsense = join(dir, 'nonsense')
  writeFileSync(nonsense, 'nonsense')
  await t.rejects(certificate(files({ 'tls.cert': nonsense }), where), { message: /tls\.cert: .*nonsense/, code: 2 })
  await t.rejects(certificate(files({ 'tls.key': '/none' }), where), { message: /ENOENT.*\/none/, code: 2 })
})

t.test('a certificate that is damaged or that others may read is refused with the remedy', async t => {
  const dir = t.testdir()
  await certificate(none, dir)
  const path = join(dir, 'certificate.pem')
  const text = readFileSync(path, 'utf8')
  const [cert = ''] = text.split(/(?<=END CERTIFICATE-----\n)/)
  await certificate(none, join(dir, 'b'))
  const [, key = ''] = readFileSync(join(dir, 'b/certificate.pem'), 'utf8').split(/(?<=END CERTIFICATE-----\n)/)
  for (const bad of ['', 'nonsense', cert, cert + key]) {
    writeFileSync(path, bad)
    await t.rejects(certificate(none, dir), { message: new RegExp(`to have a new one made, rm ${path}, restart`) })
  }
  writeFileSync(path, text)
  chmodSync(path, 0o644)
  await t.rejects(certificate(none, dir), { message: /permission denied: .*chmod 600/ })
})
