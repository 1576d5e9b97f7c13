/** A tree, servers and shells in this process, for the tests of dish. */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { fail } from '../../api/errors.js'
import { Invocation } from '../../cli/invocation.js'
import { run } from '../../dish/evaluate.js'
import { codeFor, Exit } from '../../dish/failure.js'
import { parse } from '../../dish/parser.js'
import { Capture, empty } from '../../dish/pipe.js'
import { begin, type ShellInstance } from '../../dish/shell-instance.js'
import type { Io } from '../../dish/state.js'
import { listen } from '../../fs/dial.js'
import { type File, newQid } from '../../fs/file.js'
import { bytes, now, text } from '../../fs/kit/content.js'
import { dir, generated } from '../../fs/kit/dir.js'
import { serve } from '../../fs/server/server.js'
import { QTDIR } from '../../fs/wire/protocol.js'

export const owner = { name: 'glenda', uid: 1000 }

/** A file in memory that can be written at any offset. */
export function memory(content = ''): File {
  const qid = newQid()
  let held = Buffer.from(content)
  return {
    qid,
    attributes: () => ({ mode: 0o666, owner, length: held.length, mtime: 1, atime: 1 }),
    truncate() {
      held = Buffer.alloc(0)
    },
    open(mode) {
      if (mode & 0x10) held = Buffer.alloc(0)
      return {
        read: (offset, count) => held.subarray(offset, offset + count),
        write(offset, data) {
          const next = Buffer.alloc(Math.max(held.length, offset + data.length))
          held.copy(next)
          next.set(data, offset)
          held = next
          return data.length
        },
      }
    },
  }
}

/** A directory in memory in which files and directories can be created and removed. */
export function folder(entries: Record<string, File> = {}): File {
  const all = new Map(Object.entries(entries))
  return generated({
    owner,
    mode: 0o777,
    walk: name => {
      const file = all.get(name)
      return file && { ...file, remove: () => void all.delete(name) }
    },
    list: () => all,
    async create(name, perm, mode, ctx) {
      const file = perm & 0x80000000 ? folder() : memory()
      all.set(name, file)
      return { file, opened: await file.open(mode, ctx) }
    },
  })
}

/** A directory that never answers a request, until the request is flushed. */
export function hung(): File {
  const never = (_: unknown, ctx: { signal: AbortSignal }) =>
    new Promise<never>((_, reject) => ctx.signal.addEventListener('abort', () => reject(fail('interrupted'))))
  return {
    qid: newQid(QTDIR),
    attributes: () => ({ mode: 0o555, owner, length: 0, mtime: now(), atime: now() }),
    walk: never,
    open: never,
  }
}

/** A file whose reader waits for ever after the first lines. */
const waiting: File = {
  qid: newQid(),
  attributes: () => ({ mode: 0o444, owner, length: 0, mtime: now(), atime: now() }),
  open: () => ({
    stream: true,
    read: (offset, _count, ctx) =>
      offset === 0
        ? Buffer.from('one\ntwo\n')
        : new Promise((_, reject) => ctx.signal.addEventListener('abort', () => reject(fail('interrupted')))),
  }),
}

const worker = (name: string) =>
  dir(
    new Map([
      ['status', text(() => `server name=${name} kind=worker state=idle\n`, { owner })],
      ['ctl', memory()],
    ]),
    owner,
  )

/** A tree with the names that a cluster's tree has, and some that are hard to type. */
export const tree = (more: Record<string, File> = {}): File =>
  folder({
    'a.txt': bytes('alpha\nbeta\ngamma\n', { owner }),
    'b.txt': bytes('beta\n', { owner }),
    "it's": bytes('quoted\n', { owner }),
    'two words': bytes('blank\n', { owner }),
    events: waiting,
    secret: memoryOf(0),
    dir: folder({
      x1: bytes('1\n', { owner }),
      x2: bytes('2\n', { owner }),
      y: bytes('y\n', { owner }),
      sub: folder({ x1: bytes('3\n', { owner }) }),
    }),
    'worker-0001': worker('worker-0001'),
    'worker-0002': worker('worker-0002'),
    'worker-0010': worker('worker-0010'),
    ...more,
  })

const memoryOf = (mode: number): File => ({
  ...memory(),
  attributes: () => ({ mode, owner, length: 0, mtime: 1, atime: 1 }),
})

/** Serves a tree on a socket. @returns its address */
export async function served(t: Test, root: File, name = 'server'): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'llambo-dish-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const address = `unix!${join(folder, name)}`
  const { close } = await listen(address, transport => {
    const session = serve(transport, { attach: ({ uname }) => ({ root, user: { name: uname, uid: 1, role: 'use' } }) })
    t.teardown(() => session.close())
  })
  t.teardown(close)
  return address
}

export interface Said {
  out: string
  err: string
  status: string
  code: number
}

/** A shell in this process. */
export class Shell {
  private constructor(
    readonly session: ShellInstance,
    readonly told: string[],
  ) {}

  static async at(t: Test, address: string, env: NodeJS.ProcessEnv = {}): Promise<Shell> {
    const told: string[] = []
    const io = new Invocation(
      { at: address },
      { PATH: process.env.PATH, SHELL: '/bin/sh', ...env },
      new AbortController().signal,
    )
    const session = await begin(io, { interactive: false, told: line => told.push(line) }, ['dish'])
    t.teardown(() => session.close())
    return new Shell(session, told)
  }

  /** Runs a text to its end. */
  async run(text: string, signal = new AbortController().signal, out = new Capture(1e7)): Promise<Said> {
    const err = new Capture(1e7)
    const { state } = this.session
    const io: Io = { stdin: empty, stdout: out, stderr: err, signal }
    try {
      await run(parse(text), io, state)
    } catch (error) {
      if (error instanceof Exit) state.end(error.status ?? state.status)
      else if (signal.aborted) state.end('interrupted', 130)
      else state.end((error as Error).message, codeFor(error))
    }
    return { out: out.text, err: err.text, status: state.status, code: state.code }
  }
}

/** A shell with the tests' tree at /n/llambo. */
export async function shell(t: Test, more: Record<string, File> = {}): Promise<Shell> {
  return Shell.at(t, await served(t, tree(more)))
}
