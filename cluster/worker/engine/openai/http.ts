import { FsError, fail } from '../../../../fs/errors.js'

/** How long the server may say nothing, before its first byte (it may be evaluating a long prompt) and between any two. */
export const SILENCE_MS = 120_000
/** Bytes of an error's body that are read; of those, characters that are told. */
const MAX_ERROR = 8192
const MAX_TOLD = 300

/** What a connection can fail with, as remedies (undici's codes and the system's). */
const remedies: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused: is the server running there?',
  ENOTFOUND: 'no such host',
  EAI_AGAIN: 'no such host, or no name server',
  ECONNRESET: 'the server closed the connection',
  UND_ERR_SOCKET: 'the server closed the connection',
  UND_ERR_CONNECT_TIMEOUT: 'no connection within 10 s',
  ETIMEDOUT: 'no connection',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'its certificate is self-signed: name it in NODE_EXTRA_CA_CERTS',
}

/** A server with the OpenAI API. */
export class Server {
  readonly base: string
  readonly #key: string | undefined

  /** @throws FsError `bad argument: url …` */
  constructor(url: string, key: string | undefined) {
    const parsed = URL.canParse(url) ? new URL(url) : undefined
    if (!parsed || !/^https?:$/.test(parsed.protocol))
      throw fail('badArgument', `url ${url}: http://HOST:PORT or https://…`)
    if (parsed.username || parsed.password) throw fail('badArgument', 'url: give the key apart from it')
    const path = parsed.pathname.replace(/\/+$/, '')
    this.base = parsed.origin + (path.endsWith('/v1') ? path : `${path}/v1`)
    this.#key = key
  }

  /**
   * Posts JSON, and hands on the bytes of the answer as they come. Leaving the iteration, or aborting, closes the request.
   * A connection that does not come about in 10 s is given up by fetch itself.
   * @throws FsError `i/o error: URL: …`, with the status and what the server says of it
   */
  async *post(path: string, body: unknown, signal: AbortSignal): AsyncGenerator<Uint8Array, void> {
    const url = this.base + path
    const stop = new AbortController()
    const abort = () => stop.abort(signal.reason)
    signal.addEventListener('abort', abort, { once: true })
    const listen = () =>
      setTimeout(() => stop.abort(fail('io', `${url}: silent for ${SILENCE_MS / 1000} s`)), SILENCE_MS)
    let silent = listen()
    try {
      signal.throwIfAborted()
      const response = await fetch(url, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...(this.#key && { authorization: `Bearer ${this.#key}` }) },
        body: JSON.stringify(body),
        signal: stop.signal,
      })
      if (!response.ok) throw fail('io', `${url}: ${response.status} ${await said(response)}`)
      for await (const chunk of response.body ?? []) {
        // While the reader takes its time, the silence is ours.
        clearTimeout(silent)
        yield chunk
        silent = listen()
      }
    } catch (error) {
      stop.signal.throwIfAborted()
      if (error instanceof FsError) throw error
      const { code, message } = ((error as Error).cause ?? error) as { code?: string; message: string }
      throw fail('io', `${url}: ${remedies[code ?? ''] ?? message}`, error)
    } finally {
      clearTimeout(silent)
      signal.removeEventListener('abort', abort)
      stop.abort()
    }
  }
}

/** What a server says of an error: the message in its JSON, or the text as it is, or only the status' name. */
async function said(response: Response): Promise<string> {
  let text = ''
  const decoder = new TextDecoder()
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk, { stream: true })
    if (text.length > MAX_ERROR) break
  }
  let message: unknown
  try {
    const { error } = JSON.parse(text) as { error?: { message?: unknown } | string }
    message = typeof error === 'object' ? error.message : error
  } catch {
    message = text
  }
  const line = typeof message === 'string' ? message.replace(/\s+/g, ' ').trim() : ''
  return line.slice(0, MAX_TOLD) || response.statusText
}
