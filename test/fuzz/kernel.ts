/** The kernel's end of /dev/fuse, for the fuzzer. */

import type { Channel } from '../../mnt/fuse/loop.js'
import {
  decode,
  decodeRequest,
  dirent,
  direntSize,
  entry,
  type Fields,
  forgetOne,
  IN_HEADER,
  OUT_HEADER,
  operations,
  outHeader,
  type Request,
  ROOT_ID,
  sizeOf,
} from '../../mnt/fuse/protocol.js'

/** The kernel accepts 0 as an error, or minus an errno below this. It refuses any other reply and goes on waiting. */
const MAX_ERRNO = 512
/**
 * The longest name that the kernel accepts in a listing (NAME_MAX); with a longer one, the whole listing fails with
 * EIO.
 */
const MAX_NAME = 255
const OFFSET = { opcode: 4, unique: 8, uid: 24 } as const
const decoder = new TextDecoder('utf-8', { fatal: true })

/**
 * The kernel's end of /dev/fuse. It hands requests over, checks each reply against its request, and counts as a kernel
 * does: which nodes it was told of and how often, and which files it has open. It records faults instead of throwing
 * them, because the loop survives what its channel throws.
 */
export class Kernel implements Channel {
  readonly wrong: string[] = []
  /** Requests without a reply, by `unique`. */
  readonly waiting = new Map<number, Request | undefined>()
  /** How often it was told of each node, minus what it forgot. */
  readonly lookups = new Map<number, number>()
  /** The node of each open file, by handle. */
  readonly open = new Map<number, number>()
  /** Requests that were shorter than a header: they may be answered or not. */
  readonly #short = new Set([0])
  #unique = 0
  #room: Uint8Array = new Uint8Array(0)
  #done: Parameters<Channel['read']>[1] | undefined

  read(buffer: Uint8Array, done: Parameters<Channel['read']>[1]): void {
    this.#room = buffer
    this.#done = done
  }

  /** Unmounts: the device has no more requests. */
  end(): void {
    const done = this.#done
    this.#done = undefined
    done?.(Object.assign(new Error('unmounted'), { code: 'ENODEV' }), 0)
  }

  /**
   * Hands over one request, with its own `unique`. The value of an INTERRUPT is the number of a request, from 1. A
   * request that a kernel never makes is left out, unless `lawless`. @returns whether it was handed over
   */
  ask(bytes: Uint8Array, lawless: boolean): boolean {
    const m = new Uint8Array(bytes.subarray(0, this.#room.length))
    const view = new DataView(m.buffer)
    const unique = 2 * ++this.#unique
    if (m.length >= OFFSET.unique + 8) view.setBigUint64(OFFSET.unique, BigInt(unique), true)
    // there are few users, because each new one is looked up in /etc/passwd
    if (m.length >= OFFSET.uid + 4) view.setUint32(OFFSET.uid, m[OFFSET.uid]! & 3, true)
    const request = m.length < IN_HEADER ? undefined : decodeRequest(m)
    if (request?.op === 'INTERRUPT' && m.length >= IN_HEADER + 8)
      view.setBigUint64(IN_HEADER, 2n * view.getBigUint64(IN_HEADER, true), true)
    if (request?.op && !lawless && !this.#lawful(request)) return false
    if (!request) this.#short.add(unique)
    else if (!request.op || operations[request.op].out !== 'never') this.waiting.set(unique, request.op && request)
    this.#give(m)
    return true
  }

  /** Forgets all nodes and closes all files, as at an unmount. */
  letGo(): void {
    for (const fh of [...this.open.keys()]) this.ask(message('RELEASE', { fh }), false)
    for (const [nodeid, nlookup] of [...this.lookups]) this.ask(message('FORGET', { nlookup }, nodeid), false)
  }

  write(parts: Uint8Array[]): void {
    const bytes = Buffer.concat(parts)
    if (bytes.length < OUT_HEADER) return this.#fault(`a reply of ${bytes.length} bytes`)
    const { len, error, unique } = decode(outHeader, bytes)
    if (len !== bytes.length) this.#fault(`a reply of ${bytes.length} bytes says it has ${len}`)
    const errno = error === 0 ? 0 : 2 ** 32 - error
    if (errno >= MAX_ERRNO) this.#fault(`errno ${errno}`)
    if (errno && bytes.length > OUT_HEADER) this.#fault(`errno ${errno} with ${bytes.length - OUT_HEADER} bytes`)
    if (this.#short.has(unique)) {
      if (!errno) this.#fault('success for less than a header')
      return
    }
    if (!this.waiting.has(unique)) return this.#fault(`a reply to ${unique}, which waits for none`)
    const request = this.waiting.get(unique)
    this.waiting.delete(unique)
    if (!request && !errno) this.#fault(`success for what is no request`)
    if (request && !errno) this.#take(request, bytes.subarray(OUT_HEADER))
  }

  /** Whether a kernel may make a request. Updates the kernel's counts. */
  #lawful(request: Request): boolean {
    const { op, header } = request
    if (op === 'FORGET') return this.#forget(header.nodeid, request.in.nlookup)
    if (op === 'BATCH_FORGET') {
      const { count, data } = request.in
      let all = count * sizeOf(forgetOne) === data.length
      for (let i = 0; all && i < count; i++) {
        const { nodeid, nlookup } = decode(forgetOne, data, i * sizeOf(forgetOne))
        all = this.#forget(nodeid, nlookup)
      }
      return all
    }
    if (op === 'RELEASE' || op === 'RELEASEDIR') {
      const { fh } = request.in
      if (!this.open.has(fh) || this.#uses(r => 'fh' in r.in && r.in.fh === fh)) return false
      this.open.delete(fh)
    }
    return true
  }

  #forget(nodeid: number, nlookup: number): boolean {
    const known = this.lookups.get(nodeid) ?? 0
    if (nlookup === 0 || nlookup > known) return false
    if (nlookup === known) {
      // a node that is in use is not forgotten
      if ([...this.open.values()].includes(nodeid)) return false
      if (this.#uses(r => r.header.nodeid === nodeid || ('newdir' in r.in && r.in.newdir === nodeid))) return false
      this.lookups.delete(nodeid)
    } else this.lookups.set(nodeid, known - nlookup)
    return true
  }

  #uses(is: (request: Request) => boolean): boolean {
    for (const request of this.waiting.values()) if (request && is(request)) return true
    return false
  }

  #give(m: Uint8Array): void {
    const done = this.#done
    if (!done) return this.#fault('nobody reads the device')
    this.#done = undefined
    this.#room.set(m)
    done(null, m.length)
  }

  #take(request: Request, body: Uint8Array): void {
    const { op, header } = request
    const { out } = operations[op]
    if (typeof out === 'object' && body.length !== sizeOf(out as Fields))
      this.#fault(`${op}: ${body.length} bytes in answer`)
    switch (op) {
      case 'LOOKUP':
      case 'MKDIR':
        this.#told(decode(entry, body).nodeid)
        break
      case 'CREATE': {
        const made = decode(operations.CREATE.out, body)
        this.#told(made.nodeid)
        this.#opened(made.fh, made.nodeid)
        break
      }
      case 'OPEN':
      case 'OPENDIR':
        this.#opened(decode(operations.OPEN.out, body).fh, header.nodeid)
        break
      case 'READ':
        if (body.length > request.in.size) this.#fault(`READ: ${body.length} bytes, asked for ${request.in.size}`)
        break
      case 'WRITE': {
        const { size } = decode(operations.WRITE.out, body)
        if (size > request.in.size) this.#fault(`WRITE: took ${size} bytes of ${request.in.size}`)
        break
      }
      case 'READDIR':
      case 'READDIRPLUS':
        this.#listed(request, body)
    }
  }

  #told(nodeid: number): void {
    if (nodeid <= ROOT_ID) return this.#fault(`node ${nodeid} for a file`)
    this.lookups.set(nodeid, (this.lookups.get(nodeid) ?? 0) + 1)
  }

  #opened(fh: number, nodeid: number): void {
    if (this.open.has(fh)) this.#fault(`handle ${fh} twice`)
    this.open.set(fh, nodeid)
  }

  #listed({ op, in: { offset, size } }: Request<'READDIR' | 'READDIRPLUS'>, body: Uint8Array): void {
    if (body.length > size) this.#fault(`${op}: ${body.length} bytes, asked for ${size}`)
    const plus = op === 'READDIRPLUS'
    const head = plus ? sizeOf(entry) : 0
    let last = offset
    for (let at = 0; at < body.length; ) {
      const { namelen, off } = decode(dirent, body, at + head)
      const start = at + head + sizeOf(dirent)
      if (start + namelen > body.length) return this.#fault(`${op}: an entry goes on past the end`)
      let name: string
      try {
        name = decoder.decode(body.subarray(start, start + namelen))
      } catch {
        return this.#fault(`${op}: a name is not UTF-8`)
      }
      if (namelen === 0 || namelen > MAX_NAME || /[/\0]/.test(name))
        this.#fault(`${op}: an entry of the name ${JSON.stringify(name.slice(0, 80))}`)
      if (off <= last) this.#fault(`${op}: offset ${off} after ${last}`)
      const nodeid = plus ? decode(entry, body, at).nodeid : 0
      // the kernel does not count these, and so would never forget them
      if (nodeid > 0 && (name === '.' || name === '..')) this.#fault(`${op}: a lookup of ${name}`)
      else if (nodeid > 0) this.#told(nodeid)
      last = off
      at += direntSize(name, plus)
    }
  }

  #fault(what: string): void {
    this.wrong.push(what)
  }
}

/** A request as the kernel writes it, with a `unique` of 0. */
export function message(
  op: keyof typeof operations,
  fields: Readonly<Record<string, number | string | Uint8Array>> = {},
  nodeid = ROOT_ID,
  wait = true,
): Uint8Array {
  const parts: Buffer[] = [Buffer.alloc(IN_HEADER)]
  for (const [name, kind] of Object.entries(operations[op].in)) {
    const value = fields[name] ?? 0
    if (kind === 'name') parts.push(Buffer.from(`${value}\0`))
    else if (kind === 'data') parts.push(Buffer.from((value as Uint8Array) || []))
    else {
      const bytes = Buffer.alloc(kind === 'u64' ? 8 : kind === 'u32' ? 4 : 2)
      bytes.writeUIntLE(value as number, 0, Math.min(6, bytes.length))
      parts.push(bytes)
    }
  }
  const bytes = Buffer.concat(parts)
  bytes.writeUInt32LE(bytes.length, 0)
  bytes.writeUInt32LE(operations[op].code, OFFSET.opcode)
  bytes.writeUInt32LE(nodeid, 16)
  bytes.writeUInt16LE(wait ? 0 : 1, IN_HEADER - 2)
  // a plain array, because a slice of a Buffer is a view
  return new Uint8Array(bytes)
}
