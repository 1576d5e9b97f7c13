/** The HTTP client of the engine `openai`: requests bounded in time and size. */
import { type ClientRequest, type IncomingMessage, request as plainly, type RequestOptions } from 'node:http'
import { request as secretly } from 'node:https'
import { FsError, fail } from '../../../../api/errors.js'
import { plain } from '../../../../api/field.js'
import type { Clock } from '../../../../fs/base/clock.js'
import { failureOf, retryAfter } from './failure.js'
import { CONNECT_MS, MAX_BODY, MAX_ERROR, MAX_HEADER, MAX_SAID } from './limits.js'
import { readError } from './reply.js'

/** The remedies for the errors of a connection. */
const remedies: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused: is the server running there?',
  ENOTFOUND: 'no such host',
  EAI_AGAIN: 'no such host, or no name server',
  ECONNRESET: 'the server closed the connection',
  EPIPE: 'the server closed the connection',
  ETIMEDOUT: 'no connection',
  HPE_HEADER_OVERFLOW: `a header over ${MAX_HEADER} bytes`,
  DEPTH_ZERO_SELF_SIGNED_CERT: 'its certificate is self-signed: name it in NODE_EXTRA_CA_CERTS',
}

/** A successful response and its body. */
export interface Reply {
  readonly type: string
  /** At most 1 GiB. Leaving the iteration closes the request. */
  readonly body: AsyncIterable<Uint8Array>
  /** Closes the request, even if the body was never read. */
  close(): void
}

/**
 * A server with the OpenAI API. Its requests are bounded in time and size, and their failures become errors of the
 * tree.
 */
export class Server {
  readonly base: string
  readonly #url: URL

  /**
   * @param url used unchanged if it has a path; otherwise the API is at `/v1`. A query is sent with every request
   * @param silence_ms how long a request may produce nothing at all
   * @throws FsError `bad argument: url …`
   */
  constructor(
    url: string,
    readonly key: string | undefined,
    readonly silence_ms: number,
    readonly clock: Clock,
  ) {
    const parsed = URL.canParse(url) ? new URL(url) : undefined
    if (!parsed || !/^https?:$/.test(parsed.protocol))
      throw fail('badArgument', `url ${url}: expected http://HOST:PORT or https://…`)
    if (parsed.username || parsed.password) throw fail('badArgument', 'url: give the key apart from it')
    parsed.hash = ''
    // accept the address of a request as well as that of the API
    parsed.pathname = parsed.pathname.replace(/\/+$/, '').replace(/\/chat\/completions$/, '')
    if (parsed.pathname === '/') parsed.pathname = '/v1'
    this.#url = parsed
    this.base = parsed.origin + parsed.pathname
  }

  /**
   * Posts JSON, and returns the response as it comes. Aborting closes the request.
   * @throws FsError `the upstream refuses this`, `asks to wait` or `failed`, with the status and the server's message
   */
  post(path: string, body: unknown, signal: AbortSignal): Promise<Reply> {
    return this.#ask('POST', path, JSON.stringify(body), signal)
  }

  get(path: string, signal: AbortSignal): Promise<Reply> {
    return this.#ask('GET', path, undefined, signal)
  }

  async #ask(method: string, path: string, body: string | undefined, signal: AbortSignal): Promise<Reply> {
    const url = new URL(this.#url)
    url.pathname += path
    const where = url.origin + url.pathname
    const stop = new AbortController()
    const abort = () => stop.abort(signal.reason)
    signal.addEventListener('abort', abort, { once: true })
    const silence = new Silence(this.clock, this.silence_ms, () =>
      stop.abort(fail('upstreamFailed', `${where}: sent nothing for ${this.silence_ms / 1000} s`)),
    )
    const over = () => {
      silence.end()
      signal.removeEventListener('abort', abort)
      stop.abort(fail('cancelled'))
    }
    const failed = (error: unknown): unknown => {
      if (stop.signal.aborted) return stop.signal.reason
      return error instanceof FsError ? error : this.#broken(where, error)
    }
    try {
      signal.throwIfAborted()
      const response = await this.#send(url, where, method, body, stop.signal)
      silence.heard()
      const { statusCode = 0, headers } = response
      if (statusCode < 200 || statusCode >= 300) throw await this.#refusal(where, response)
      const coding = headers['content-encoding'] ?? 'identity'
      if (coding !== 'identity')
        throw fail('upstreamFailed', `${where}: unexpected content-encoding ${plain(coding, 40)}`)
      return {
        type: headers['content-type'] ?? '',
        body: this.#body(where, response, silence, failed, over),
        close: over,
      }
    } catch (error) {
      const why = failed(error)
      over()
      throw why
    }
  }

  async *#body(
    where: string,
    response: IncomingMessage,
    silence: Silence,
    failed: (error: unknown) => unknown,
    over: () => void,
  ): AsyncGenerator<Uint8Array, void> {
    let size = 0
    try {
      for await (const chunk of response as AsyncIterable<Uint8Array>) {
        if ((size += chunk.length) > MAX_BODY) throw fail('upstreamFailed', `${where}: a body over ${MAX_BODY} bytes`)
        // a slow reader must not count as silence of the server
        silence.end()
        yield chunk
        silence.heard()
      }
      // a response that was cut off ends like a complete one
      if (!response.complete) throw Object.assign(new Error('aborted'), { code: 'ECONNRESET' })
    } catch (error) {
      throw failed(error)
    } finally {
      over()
    }
  }

  /** Sends a request, and sends it again if a connection that had been kept open turns out to be gone. */
  async #send(
    url: URL,
    where: string,
    method: string,
    body: string | undefined,
    signal: AbortSignal,
  ): Promise<IncomingMessage> {
    const options: RequestOptions = {
      method,
      signal,
      maxHeaderSize: MAX_HEADER,
      headers: {
        accept: 'text/event-stream, application/json',
        'accept-encoding': 'identity',
        'user-agent': 'llambo',
        ...(body !== undefined && { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }),
        ...(this.key && { authorization: `Bearer ${this.key}` }),
      },
    }
    const send = () => {
      const request = (url.protocol === 'https:' ? secretly : plainly)(url, options)
      const response = new Promise<IncomingMessage>((resolve, reject) => {
        request.once('response', resolve).on('error', reject)
      })
      this.#hurry(request, where)
      request.end(body)
      return { request, response }
    }
    const first = send()
    try {
      return await first.response
    } catch (error) {
      const gone = ['ECONNRESET', 'EPIPE'].includes((error as NodeJS.ErrnoException).code ?? '')
      if (!gone || !first.request.reusedSocket || signal.aborted) throw error
      return send().response
    }
  }

  /** Gives up a connection that is not established in time. */
  #hurry(request: ClientRequest, where: string): void {
    request.once('socket', socket => {
      if (!socket.connecting) return
      const late = this.clock.after(CONNECT_MS, () =>
        request.destroy(fail('upstreamFailed', `${where}: no connection within ${CONNECT_MS / 1000} s`)),
      )
      socket.once(this.#url.protocol === 'https:' ? 'secureConnect' : 'connect', late).once('close', late)
    })
  }

  /** Makes the error for an unsuccessful status, with the server's message. */
  async #refusal(where: string, response: IncomingMessage): Promise<FsError> {
    const { statusCode = 0, statusMessage = '', headers } = response
    if (statusCode >= 300 && statusCode < 400) {
      const to = headers.location === undefined ? '' : ` to ${plain(headers.location, MAX_SAID)}`
      return fail('upstreamRefused', `${where}: ${statusCode}: redirected${to}; set engine.url to that address`)
    }
    let text = ''
    const decoder = new TextDecoder()
    for await (const chunk of response as AsyncIterable<Uint8Array>) {
      text += decoder.decode(chunk.subarray(0, MAX_ERROR), { stream: true })
      if (text.length > MAX_ERROR) break
    }
    let json: unknown = text
    try {
      json = JSON.parse(text)
    } catch {
      // the text is reported as it is
    }
    const said = readError(json, true) ?? { message: '', status: undefined, param: '', seconds: undefined }
    const message = this.hidden(said.message) || plain(statusMessage, MAX_SAID)
    return failureOf(where, statusCode, { ...said, message }, retryAfter(headers, this.clock.date()))
  }

  /** Removes the key from a server's message, which may repeat it. */
  hidden(words: string): string {
    return this.key && this.key.length > 5 ? words.replaceAll(this.key, '…') : words
  }

  #broken(where: string, error: unknown): FsError {
    const { code, message } = error as NodeJS.ErrnoException
    return fail('upstreamFailed', `${where}: ${remedies[code ?? ''] ?? this.hidden(plain(message, MAX_SAID))}`, error)
  }
}

/** Calls `late` once, when nothing was heard for that long. */
class Silence {
  #cancel: () => void

  constructor(
    readonly clock: Clock,
    readonly ms: number,
    readonly late: () => void,
  ) {
    this.#cancel = clock.after(ms, late)
  }

  heard(): void {
    this.#cancel()
    this.#cancel = this.clock.after(this.ms, this.late)
  }

  end(): void {
    this.#cancel()
  }
}
