/**
 * A small tree to mount, its server, and programs to run on the mount. Nothing in this process may touch the mount
 * synchronously, because this process serves it.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { chmod, mkdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type ErrorCode, fail } from '../../api/errors.js'
import { type Exchange, exchange } from '../../cluster/root/exchange.js'
import { listen } from '../../fs/dial.js'
import { type Context, type File, newQid, type Opened, type User } from '../../fs/file.js'
import { AppendLog, logFile } from '../../fs/kit/append-log.js'
import { bytes, now, text } from '../../fs/kit/content.js'
import { dir, generated } from '../../fs/kit/dir.js'
import { type Connection, serve } from '../../fs/server/server.js'
import { QTDIR } from '../../fs/wire/protocol.js'
import { fuseProblem, isMounted, startMount, unmount } from '../../mnt/mount.js'

const owner = { name: 'root', uid: 0 }

/** 64 MiB in which no two pages are alike. */
export const BIG = new Uint8Array(Uint32Array.from({ length: 16 << 20 }, (_, i) => i).buffer)
const encoder = new TextEncoder()

/** The reason why FUSE tests cannot run here, for `t.skip`; the empty string if they can. */
export async function noFuse(): Promise<string> {
  if (process.getuid?.() !== 0) return `FUSE tests mount as root: ${(await fuseProblem()) ?? 'run them as root'}`
  return (await fuseProblem()) ?? ''
}

/** A record of the requests that reached the tree's files. */
export interface Seen {
  opens: number
  closes: number
  /** The content of each closed upload. */
  uploads: string[]
  syncs: number
  prompts: { user: string; prompt: string }[]
  /** The users who attached, as `name uid`. */
  attached: string[]
}

/** A file that takes writes and keeps what each fid wrote. */
function sink(seen: Seen, failWrite?: ErrorCode, failSync?: ErrorCode): File {
  return {
    qid: newQid(),
    attributes: () => ({ mode: 0o666, owner, length: 0, mtime: now(), atime: now() }),
    open(): Opened {
      seen.opens++
      const parts: Uint8Array[] = []
      return {
        write(_offset, data) {
          if (failWrite) throw fail(failWrite)
          parts.push(data.slice())
          return data.length
        },
        sync() {
          seen.syncs++
          if (failSync) throw fail(failSync)
        },
        close() {
          seen.closes++
          seen.uploads.push(Buffer.concat(parts).toString())
        },
      }
    },
  }
}

/** Bytes in memory that honour offsets, with their true length. */
function memory(initial: string): File {
  let content = encoder.encode(initial)
  return {
    qid: newQid(),
    attributes: () => ({ mode: 0o666, owner, length: content.length, mtime: now(), atime: now() }),
    truncate() {
      content = new Uint8Array(0)
    },
    open(mode): Opened {
      if (mode & 0x10) content = new Uint8Array(0)
      return {
        read: (offset, count) => content.slice(offset, offset + count),
        write(offset, data) {
          const next = new Uint8Array(Math.max(content.length, offset + data.length))
          next.set(content)
          next.set(data, offset)
          content = next
          return data.length
        },
      }
    },
  }
}

/** A directory in which files can be made, removed and renamed. */
function folder(files = new Map<string, File>()): File {
  const removable = (file: File): File => ({
    ...file,
    remove() {
      for (const [name, f] of files) if (f.qid.path === file.qid.path) files.delete(name)
    },
    change({ name }) {
      if (name === undefined) throw fail('notPermitted')
      for (const [old, f] of [...files])
        if (f.qid.path === file.qid.path) {
          files.delete(old)
          files.set(name, f)
        }
    },
  })
  return {
    ...generated({ owner, mode: 0o777, walk: name => files.get(name), list: () => files }),
    create(name, perm, mode, ctx) {
      const file = removable(perm & 0x80000000 ? folder() : memory(''))
      files.set(name, file)
      return { file, opened: file.open(mode, ctx) as Opened }
    },
  }
}

/** A file of which one read returns at most `most` bytes, as if it were behind a connection with a smaller msize. */
function pieces(content: Uint8Array, most: number): File {
  const whole = bytes(content, { owner })
  const read = (offset: number, count: number) => content.subarray(offset, offset + Math.min(count, most))
  return { ...whole, open: () => ({ read }) }
}

const numbered = (n: number) => {
  const file = bytes('x', { owner })
  return generated({
    owner,
    walk: name => (/^f\d+$/.test(name) && Number(name.slice(1)) < n ? file : undefined),
    *list() {
      for (let i = 0; i < n; i++) yield [`f${i}`, file]
    },
  })
}

/** The tree. Its `data` answers a prompt with `answer to PROMPT`, a word every `gap` ms. */
export function makeTree(seen: Seen, gap = 0): File {
  const newest = new Map<string, Exchange>()
  const data = exchange({
    owner,
    limit: 1 << 20,
    newest: (ctx: Context) => newest.get(ctx.user.name),
    refused: () => {},
    submit(prompt, ctx) {
      seen.prompts.push({ user: ctx.user.name, prompt })
      const answer = new AppendLog()
      const words = `answer to ${prompt.trimEnd()}\n`.split(/(?<= )/)
      const say = async () => {
        for (const word of words) {
          if (gap) await sleep(gap)
          answer.append(word)
        }
        answer.end()
      }
      say()
      const made = { answer, abandon: () => {} }
      newest.set(ctx.user.name, made)
      return made
    },
  })
  const never = new AppendLog()
  const hang = (): File => ({
    qid: newQid(QTDIR),
    attributes: ctx =>
      new Promise<never>((_, reject) => ctx.signal.addEventListener('abort', () => reject(fail('interrupted')))),
    open: () => ({}),
  })
  const grows = { content: 'first\n' }
  const files = new Map<string, File>([
    ['data', data],
    ['never', logFile(() => never, owner, 0o444)],
    ['status', text(ctx => `user ${ctx.user.name} uid ${ctx.user.uid}\n`, { owner })],
    ['sink', sink(seen)],
    ['full', sink(seen, 'diskFull')],
    ['forbidden', sink(seen, 'notPermitted')],
    ['bad', sink(seen, undefined, 'badModel')],
    ['secret', bytes('secret\n', { owner: { name: 'somebody', uid: 12345 }, mode: 0o600 })],
    ['memory', memory('0123456789')],
    ['big', bytes(BIG, { owner })],
    ['pieces', pieces(BIG.subarray(0, 300_000), 10_000)],
    ['many', numbered(1000)],
    ['lots', numbered(100_000)],
    ['folder', folder()],
    ['slow', generated({ owner, walk: name => (name.startsWith('hang') ? hang() : undefined), list: () => [] })],
    [
      'log',
      {
        ...text(() => grows.content, { owner }),
        attributes: () => ({ mode: 0o444, owner, length: grows.content.length, mtime: now(), atime: now() }),
        open: () => ({
          read: (offset: number, count: number) => encoder.encode(grows.content).slice(offset, offset + count),
          write: () => 0,
        }),
      },
    ],
    [
      'grow',
      {
        ...sink(seen),
        open: () => ({
          write(_offset: number, data: Uint8Array) {
            grows.content += Buffer.from(data)
            return data.length
          },
        }),
      },
    ],
  ])
  return dir(files, owner)
}

export interface Served {
  address: string
  seen: Seen
  sessions: Set<Connection>
  /** Cuts all connections and stops listening, as if the server had been killed. */
  stop(): Promise<void>
}

export const newSeen = (): Seen => ({ opens: 0, closes: 0, uploads: [], syncs: 0, prompts: [], attached: [] })

export async function startServer(address: string, seen = newSeen(), gap = 0): Promise<Served> {
  const root = makeTree(seen, gap)
  const sessions = new Set<Connection>()
  const listener = await listen(address, transport => {
    const session = serve(transport, {
      attach({ uname, n_uname }) {
        seen.attached.push(`${uname} ${n_uname}`)
        const user: User = { name: uname, uid: n_uname, role: n_uname === 0 ? 'admin' : 'use' }
        return { root, user }
      },
      onerror: error => console.error(error),
    })
    sessions.add(session)
    session.closed.then(() => sessions.delete(session))
  })
  return {
    address: listener.address,
    seen,
    sessions,
    async stop() {
      const closed = listener.close()
      for (const session of sessions) session.transport.destroy()
      await closed
    },
  }
}

export interface Bench extends Served {
  /** The mount point. */
  n: string
  pid: number
  base: string
}

type Teardown = { teardown(fn: () => unknown): void }

/** Makes a directory that every user may enter; it is removed at the end of the test. */
export async function base(t: Teardown): Promise<string> {
  const path = mkdtempSync(join(tmpdir(), 'llambo-fuse-'))
  await chmod(path, 0o755)
  t.teardown(() => rmSync(path, { recursive: true, force: true }))
  return path
}

/** Starts a server and mounts it; both end with the test. */
export async function bench(
  t: Teardown,
  options: { gap?: number; allowOther?: boolean; driver?: 'llambo' | 'fuse-native' } = {},
): Promise<Bench> {
  const path = await base(t)
  const served = await startServer(`unix!${path}/s/9p`, newSeen(), options.gap)
  t.teardown(() => served.stop())
  const n = join(path, 'n')
  await mkdir(n)
  const { gap: _, ...how } = options
  const { pid } = await startMount({
    address: served.address,
    dir: n,
    ...how,
    ...(process.env.TRACE ? { trace: process.env.TRACE } : {}),
  })
  t.teardown(async () => {
    if (await isMounted(n)) await unmount(n)
    await gone(pid)
  })
  return { ...served, n, pid, base: path }
}

/** Waits until a process has ended. @returns false if it is still there after `within` ms */
export async function gone(pid: number, within = 8000): Promise<boolean> {
  for (const end = Date.now() + within; Date.now() < end; await sleep(20)) {
    try {
      process.kill(pid, 0)
    } catch {
      return true
    }
  }
  return false
}

/**
 * Waits until `so` holds, at most `within` ms: the server sees a close shortly after the program that made it has
 * ended.
 */
export async function until(so: () => boolean, within = 5000): Promise<void> {
  for (const end = Date.now() + within; !so() && Date.now() < end; ) await sleep(10)
}

/**
 * Starts a process whose working directory is `dir`. Not by the option `cwd`: spawn would wait, in this process, for a
 * mount that this process serves.
 */
export function standing(dir: string): ChildProcess {
  return spawn('sh', ['-c', 'cd "$0" && exec sleep 30', dir], { stdio: 'ignore' })
}

export interface Ran {
  code: number | null
  signal: NodeJS.Signals | null
  out: string
  err: string
  ms: number
}

/** Runs a shell command to its end. */
export function sh(command: string, options: { uid?: number; gid?: number; cwd?: string } = {}): Promise<Ran> {
  return ended(spawn('sh', ['-c', command], { stdio: ['ignore', 'pipe', 'pipe'], ...options }))
}

export function ended(child: ChildProcess): Promise<Ran> {
  const began = performance.now()
  let out = ''
  let err = ''
  child.stdout?.setEncoding('utf8').on('data', s => (out += s))
  child.stderr?.setEncoding('utf8').on('data', s => (err += s))
  return new Promise(done =>
    child.on('close', (code, signal) => done({ code, signal, out, err, ms: performance.now() - began })),
  )
}
