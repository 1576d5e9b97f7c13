/** The TLS certificate of wss listeners: the user's own, or one that the server makes for itself. */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readFileSync, rmSync, statSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { exitCode, Failure, usage } from '../../cli/exit.js'
import { placePrivate, readPrivate } from '../../cli/private-file.js'
import type { Config } from '../../cli/settings.js'
import { makeDirectory } from '../../fs/host-directory.js'
import { fingerprintOf } from '../../fs/transport/websocket.js'

/** The certificate that a wss listener shows. */
export interface Certificate {
  /** PEM. Certificates of authorities may follow the listener's own. */
  readonly cert: string
  /** PEM. */
  readonly key: string
  /** The SHA-256 of its DER, `sha256:HEX`, which machines that join pin. */
  readonly fingerprint: string
}

const DAY_MS = 86_400_000
/**
 * How long a certificate is valid, in ms. Machines that joined pin it and must be invited again when it changes, so it
 * changes rarely.
 */
const LIFETIME_MS = 3650 * DAY_MS
/**
 * At a start with less validity left than this, in ms, a new one is made, so that it does not expire while the server
 * runs.
 */
const RENEW_MS = 365 * DAY_MS

/**
 * The certificate of wss listeners: the user's own files where they are set, else one that the server makes for itself
 * and keeps with its key in `certificate.pem`.
 * @param dir the state directory, which is created where it does not exist
 * @throws Failure that names the file
 */
export async function certificate(config: Config, dir: string, now = Date.now()): Promise<Certificate> {
  const { 'tls.cert': cert, 'tls.key': key } = config
  if (cert !== undefined && key !== undefined) return given(cert, key)
  const path = join(dir, 'certificate.pem')
  makeDirectory(dir, 0o700)
  for (;;) {
    if (statSync(path, { throwIfNoEntry: false })) {
      const kept = read(path)
      if (Date.parse(kept.x509.validTo) - now > RENEW_MS) return kept
      rmSync(path, { force: true })
    }
    placePrivate(path, await make(now))
  }
}

function given(certFile: string, keyFile: string): Certificate {
  const cert = pem(certFile)
  try {
    return { cert, key: pem(keyFile), fingerprint: fingerprintOf(new X509Certificate(cert)) }
  } catch (error) {
    if (error instanceof Failure) throw error
    throw usage(`tls.cert: ${certFile}: ${(error as Error).message}`)
  }
}

function pem(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw usage((error as Error).message)
  }
}

function read(path: string): Certificate & { x509: X509Certificate } {
  const both = readPrivate(path)
  try {
    const x509 = new X509Certificate(both)
    if (!x509.checkPrivateKey(createPrivateKey(both))) throw new Error('the key does not belong to the certificate')
    return { cert: both, key: both, x509, fingerprint: fingerprintOf(x509) }
  } catch (error) {
    throw new Failure(
      exitCode.failed,
      `${path}: ${(error as Error).message}; to have a new one made, rm ${path}, restart and invite machines again`,
    )
  }
}

/** Makes a self-signed certificate with its key, EC P-256. A machine that pins it needs no authority. */
async function make(now: number): Promise<string> {
  // imported here because it is slow to load and most servers do not make a certificate
  const { generate } = await import('selfsigned')
  const name = hostname()
  const made = await generate([{ name: 'commonName', value: name }], {
    keyType: 'ec',
    curve: 'P-256',
    algorithm: 'sha256',
    // the clock of a machine that joins may be behind
    notBeforeDate: new Date(now - DAY_MS),
    notAfterDate: new Date(now + LIFETIME_MS),
    extensions: [
      { name: 'basicConstraints', cA: false, critical: true },
      { name: 'keyUsage', digitalSignature: true, critical: true },
      { name: 'extKeyUsage', serverAuth: true },
      {
        name: 'subjectAltName',
        altNames: [
          { type: 2, value: name },
          { type: 2, value: 'localhost' },
          { type: 7, ip: '127.0.0.1' },
          { type: 7, ip: '::1' },
        ],
      },
    ],
  })
  return `${made.cert.trimEnd()}\n${made.private.trimEnd()}\n`
}
