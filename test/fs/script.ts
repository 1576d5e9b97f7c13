/** Runs scripts of requests and expected replies against a server. */

import { MAX_MSIZE } from '../../fs/base/limits.js'
import type { Transport } from '../../fs/transport.js'
import { bareStat, type Cursor, parseDirents } from '../../fs/wire/field.js'
import { Framer } from '../../fs/wire/framer.js'
import { type Message, pack, type RMessage, unpack } from '../../fs/wire/message.js'
import type { Dialect } from '../../fs/wire/protocol.js'
import { parse, type Token, text, tokens } from '../../fs/wire/text.js'

/**
 * Runs a script against a server, at the client's end of a connection. The lines of a script:
 *
 *     T…        a request in the form of text.ts; consecutive ones leave in one send
 *     raw 0x…   bytes, as they are
 *     R…        an expected reply; consecutive ones may come in any order. `*` stands for any value, `...` at the end
 *               for any further fields; `entries [a b]` for the names in a directory's data
 *     then      the replies before it come before those after it
 *     nothing   no reply comes within 50 ms
 *     closed    the server ends the connection
 *     begin D   Tversion for dialect D with msize 8192, and fid 0 attached as glenda
 *     # …       a comment
 */
export async function runScript(script: string, transport: Transport): Promise<void> {
  const run = new Run(transport)
  const lines = script
    .split('\n')
    .flatMap((line, i) => (/^\s*(#|$)/.test(line) ? [] : [{ line: line.trim(), row: i + 1 }]))
  try {
    for (let i = 0; i < lines.length; ) {
      const { line, row } = lines[i]!
      const kind = kindOf(line)
      let end = i + 1
      if (kind === 'T' || kind === 'R') while (end < lines.length && kindOf(lines[end]!.line) === kind) end++
      const group = lines.slice(i, end).map(l => l.line)
      try {
        if (kind === 'T') run.send(group)
        else if (kind === 'R') await run.expect(group)
        else await run.command(line)
      } catch (error) {
        throw new Error(`line ${row}: ${(error as Error).message}`, { cause: error })
      }
      i = end
    }
    if (run.replies.length > 0) throw new Error(`at the end: ${text(run.replies[0]!)} was not expected`)
  } finally {
    transport.destroy()
  }
}

const kindOf = (line: string) => (/^(T[a-z]+ |raw )/.test(line) ? 'T' : /^R[a-z]+ /.test(line) ? 'R' : 'command')

class Run {
  readonly replies: RMessage[] = []
  #dialect: Dialect = '9P2000'
  #closed = false
  #wake = () => {}

  constructor(readonly transport: Transport) {
    const framer = new Framer()
    framer.most = MAX_MSIZE
    transport.ondata = chunk =>
      framer.push(chunk, bytes => {
        const m = unpack(bytes.slice(), this.#dialect) as RMessage
        if (m.type === 'Rversion' && m.version !== 'unknown') this.#dialect = m.version as Dialect
        this.replies.push(m)
        this.#wake()
      })
    transport.onclose = () => {
      this.#closed = true
      this.#wake()
    }
  }

  send(lines: string[]): void {
    const bytes = lines.map(line => (line.startsWith('raw ') ? hex(line.slice(4)) : pack(parse(line), this.#dialect)))
    this.transport.send(bytes.map(b => [b]))
  }

  async expect(lines: string[]): Promise<void> {
    const wanted = [...lines]
    while (wanted.length > 0) {
      const reply = await this.#next(`${wanted[0]} is awaited`)
      const at = wanted.findIndex(line => matches(line, reply, this.#dialect))
      if (at < 0) throw new Error(`${wanted.join(' or ')} was expected, ${text(reply)} came`)
      wanted.splice(at, 1)
    }
  }

  async command(line: string): Promise<void> {
    const [word, dialect] = line.split(/\s+/)
    if (word === 'then') return
    if (word === 'nothing') {
      await this.#quiet(50)
      if (this.replies.length > 0) throw new Error(`nothing was expected, ${text(this.replies[0]!)} came`)
    } else if (word === 'closed') {
      while (!this.#closed) {
        if (this.replies.length > 0) throw new Error(`the end was expected, ${text(this.replies[0]!)} came`)
        await this.#more('the end is awaited')
      }
    } else if (word === 'begin') {
      this.send([`Tversion tag ~0 msize 8192 version ${dialect}`])
      await this.expect([`Rversion tag ~0 msize 8192 version ${dialect}`])
      this.send([`Tattach tag 0 fid 0 afid ~0 uname glenda aname ''`])
      await this.expect(['Rattach tag 0 qid (* 0 0x80)'])
    } else throw new Error(`${line}: a script has no such line`)
  }

  async #next(waiting: string): Promise<RMessage> {
    while (this.replies.length === 0) {
      if (this.#closed) throw new Error(`${waiting}, the connection was closed`)
      await this.#more(waiting)
    }
    return this.replies.shift()!
  }

  #more(waiting: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`${waiting} for 5 s`)), 5000)
      this.#wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }

  #quiet(ms: number): Promise<void> {
    return new Promise(resolve => {
      const timer = setTimeout(resolve, ms)
      this.#wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }
}

const hex = (s: string) =>
  Uint8Array.from(s.slice(2).replaceAll(' ', '').match(/../g) ?? [], pair => Number.parseInt(pair, 16))

function matches(line: string, reply: Message, dialect: Dialect): boolean {
  const wanted = tokens(line)
  const listing = wanted.some(token => token.mark === '' && token.text === 'entries')
  const came = tokens(listing ? withEntries(reply, dialect) : text(reply))
  return matchAll(wanted, came)
}

/** The text of a directory read, with the names of its entries in place of its data. */
function withEntries(reply: Message, dialect: Dialect): string {
  if (reply.type !== 'Rread' && reply.type !== 'Rreaddir') return text(reply)
  const names: string[] = []
  const c: Cursor = { bytes: reply.data, at: 0 }
  if (reply.type === 'Rread') while (c.at < reply.data.length) names.push(bareStat.get(c, dialect).name)
  else for (const { name } of parseDirents(reply.data)) names.push(name)
  return `${reply.type} tag ${reply.tag} entries [${names.join(' ')}]`
}

function matchAll(wanted: Token[], came: Token[]): boolean {
  let i = 0
  let j = 0
  while (i < wanted.length) {
    const want = wanted[i]!
    if (want.mark === '' && want.text === '...') return true
    if (j >= came.length) return false
    if (want.mark === '' && want.text === '*') {
      i++
      j = endOfValue(came, j)
    } else if (!same(want, came[j]!)) return false
    else {
      i++
      j++
    }
  }
  return j === came.length
}

const isBracket = (token: Token) => '[]()'.includes(token.mark) && token.mark !== ''

function endOfValue(list: Token[], at: number): number {
  let depth = 0
  do {
    const { mark } = list[at++]!
    if (mark === '[' || mark === '(') depth++
    else if (mark === ']' || mark === ')') depth--
  } while (depth > 0)
  return at
}

function same(a: Token, b: Token): boolean {
  if (isBracket(a) || isBracket(b)) return a.mark === b.mark
  return a.text === b.text || (isNumber(a.text) && isNumber(b.text) && BigInt(a.text) === BigInt(b.text))
}

const isNumber = (s: string) => /^(\d+|0x[\da-f]+|0o[0-7]+)$/.test(s)
