import { X509Certificate } from 'node:crypto'
import { chmodSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { Config } from '../../../ctl/common/settings.js'
import { certificate } from '../../../ctl/server/certificate.js'

const none = {} as Config
const DAY_MS = 86_400_000

t.test('a certificate is made once, for us alone to read, and stays', async t => {
  const dir = join(t.testdir(), 'state')
  const made = await certificate(none, dir)
  const path = join(dir, 'certificate.pem')
  t.same(readdirSync(dir), ['certificate.pem'])
  t.equal(statSync(path).mode & 0o777, 0o600)
  t.equal(statSync(dir).mode & 0o777, 0o700)
  const x509 = new X509Certificate(made.cert)
  t.equal(x509.publicKey.asymmetricKeyDetails?.namedCurve, 'prime256v1')
  t.equal(made.fingerprint, `sha256:${x509.fingerprint256.replaceAll(':', '').toLowerCase()}`)
  t.ok(x509.verify(x509.publicKey), 'it is signed by itself')
  t.notOk(x509.ca, 'and signs no other')
  const again = await certificate(none, dir)
  t.equal(again.fingerprint, made.fingerprint)
  t.not((await certificate(none, join(dir, 'other'))).fingerprint, made.fingerprint, 'another server has another')
})

t.test('it is made anew when less than a year is left of its ten', async t => {
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

t.test('two servers that start at once have the same', async t => {
  const dir = t.testdir()
  const all = await Promise.all(Array.from({ length: 4 }, () => certificate(none, dir)))
  t.equal(new Set(all.map(({ fingerprint }) => fingerprint)).size, 1)
})

t.test('files of the user’s own win, and a mistake in them is said with their names', async t => {
  const dir = t.testdir()
  const { cert, fingerprint } = await certificate(none, dir)
  const own = join(dir, 'certificate.pem')
  const files = (more: object) => ({ 'tls.cert': own, 'tls.key': own, ...more }) as Config
  const where = join(dir, 'state')
  t.match(await certificate(files({}), where), { cert, key: cert, fingerprint })
  t.throws(() => statSync(where), 'none is made')
  const nonsense = join(dir, 'nonsense')
  writeFileSync(nonsense, 'nonsense')
  await t.rejects(certificate(files({ 'tls.cert': nonsense }), where), { message: /tls\.cert: .*nonsense/, code: 2 })
  await t.rejects(certificate(files({ 'tls.key': '/none' }), where), { message: /ENOENT.*\/none/, code: 2 })
})

t.test('one that is damaged, or that others may read, is not used, and what to do is said', async t => {
  const dir = t.testdir()
  await certificate(none, dir)
  const path = join(dir, 'certificate.pem')
  const text = readFileSync(path, 'utf8')
  const [cert = ''] = text.split(/(?<=END CERTIFICATE-----\n)/)
  await certificate(none, join(dir, 'b'))
  const [, key = ''] = readFileSync(join(dir, 'b/certificate.pem'), 'utf8').split(/(?<=END CERTIFICATE-----\n)/)
  for (const bad of ['', 'nonsense', cert, cert + key]) {
    writeFileSync(path, bad)
    await t.rejects(certificate(none, dir), { message: new RegExp(`rm ${path} and a new one is made`) })
  }
  writeFileSync(path, text)
  chmodSync(path, 0o644)
  await t.rejects(certificate(none, dir), { message: /permission denied: .*chmod 600/ })
})
