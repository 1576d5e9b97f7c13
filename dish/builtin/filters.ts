/** The builtins that read lines, of files or of standard input: `head`, `tail`, `wc`, `grep` and `sort`. */

import { setTimeout as pause } from 'node:timers/promises'
import { fail } from '../../api/errors.js'
import { OREAD, QTDIR } from '../../fs/wire/protocol.js'
import type { Call } from '../call.js'
import { ShellError } from '../failure.js'
import { lines, nothing, type Source } from '../pipe.js'
import { compare, named, open } from '../tree.js'

/** Calls `use` for each named file, or for standard input if none is named. */
async function inputs(
  call: Call,
  paths: readonly string[],
  use: (source: Source, name: string | undefined) => Promise<void>,
) {
  if (paths.length === 0) return use(call.io.stdin, undefined)
  await call.each(paths, async given => {
    const path = call.path(given)
    const fid = await open(call.state, path, OREAD, call.signal)
    let offset = 0
    const read = (signal: AbortSignal) =>
      named(call.state, path, signal, async () => {
        if (fid.qid.type & QTDIR) throw fail('isDirectory')
        const data = await fid.read(offset, Number.MAX_SAFE_INTEGER, signal)
        offset += data.length
        return data
      })
    try {
      await use({ read, close: () => undefined }, given)
    } finally {
      fid.drop()
    }
  })
}

/** Prints `==> NAME <==` if there are several files. */
async function title(call: Call, paths: readonly string[], name: string | undefined): Promise<void> {
  if (paths.length > 1) await call.print(`==> ${name} <==\n`)
}

export async function head(call: Call): Promise<void> {
  const count = call.count('n', 10)
  const size = call.options.c === undefined ? undefined : call.count('c', 0)
  await inputs(call, call.args, async (source, name) => {
    await title(call, call.args, name)
    let left = size ?? count
    while (left > 0) {
      const data = await source.read(call.reading)
      if (data.length === 0) return
      let end = data.length
      if (size !== undefined) {
        end = Math.min(left, data.length)
        left -= end
      } else
        for (let at = 0; left > 0; left--) {
          const next = data.indexOf(10, at)
          if (next === -1) break
          at = next + 1
          if (left === 1) end = at
        }
      await call.data(data.subarray(0, end))
    }
  })
}

/** How many bytes at the end are searched for the last lines. */
const TAIL = 4 * 1024 * 1024
/** At the end of a file, `tail -f` reads again after this many ms. */
const AGAIN_MS = 500
/**
 * A read that takes longer than this many ms is waiting for new content: `tail -f` takes the content so far as the
 * whole file.
 */
const QUIET_MS = 100

export async function tail(call: Call): Promise<void> {
  const count = call.count('n', 10)
  await inputs(call, call.args, async (source, name) => {
    await title(call, call.args, name)
    let kept: Uint8Array = nothing
    let waiting: Promise<Uint8Array> | undefined
    for (;;) {
      waiting ??= source.read(call.reading)
      const quiet = call.options.f && kept.length > 0
      const stop = new AbortController()
      const data = await Promise.race([
        waiting,
        ...(quiet ? [pause(QUIET_MS, undefined, { signal: stop.signal }).catch(() => undefined)] : []),
      ]).finally(() => stop.abort())
      if (data === undefined) break
      waiting = undefined
      if (data.length === 0) break
      kept = Buffer.concat([kept, data])
      if (kept.length > TAIL) kept = kept.subarray(kept.length - TAIL)
    }
    waiting?.catch(() => undefined)
    await call.data(lastLines(kept, count))
    if (!call.options.f) return
    for (;;) {
      const data = await (waiting ?? source.read(call.reading))
      waiting = undefined
      if (data.length > 0) await call.data(data)
      else if (call.args.length === 0) return
      else await pause(AGAIN_MS, undefined, { signal: call.reading }).catch(() => undefined)
      if (call.reading.aborted) throw call.reading.reason
    }
  })
}

function lastLines(data: Uint8Array, count: number): Uint8Array {
  if (count === 0) return nothing
  let at = data.length
  if (data[at - 1] === 10) at--
  for (let left = count; left > 0; left--) {
    at = at <= 0 ? -1 : data.lastIndexOf(10, at - 1)
    if (at === -1) return data
  }
  return data.subarray(at + 1)
}

export async function wc(call: Call): Promise<void> {
  const { l, w, c } = call.options
  const all = !l && !w && !c
  const total = [0, 0, 0]
  const row = (counts: readonly number[], name: string | undefined) => {
    const shown = counts.filter((_, i) => all || [l, w, c][i])
    return call.print(`${[...shown, ...(name === undefined ? [] : [name])].join(' ')}\n`)
  }
  await inputs(call, call.args, async (source, name) => {
    const counts = [0, 0, 0]
    let inside = false
    for (;;) {
      const data = await source.read(call.reading)
      if (data.length === 0) break
      counts[2]! += data.length
      for (const byte of data) {
        if (byte === 10) counts[0]!++
        const blank = byte === 32 || (byte >= 9 && byte <= 13)
        if (!blank && !inside) counts[1]!++
        inside = !blank
      }
    }
    for (const i of [0, 1, 2]) total[i]! += counts[i]!
    await row(counts, name)
  })
  if (call.args.length > 1) await row(total, 'total')
}

/** Tries the expression with the flag `u` first. A brace that is not a quantifier is literal only without `u`. */
function expression(source: string, flags: string): RegExp {
  try {
    return new RegExp(source, `${flags}u`)
  } catch {
    return new RegExp(source, flags)
  }
}

export async function grep(call: Call): Promise<void> {
  const [text = '', ...paths] = call.args
  const { i, v, c, n, l, q, F } = call.options
  let test: RegExp
  try {
    test = expression(F ? text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&') : text, i ? 'i' : '')
  } catch (error) {
    throw call.usage((error as Error).message)
  }
  let found = false
  await inputs(call, paths, async (source, name) => {
    const before = paths.length > 1 ? `${name}:` : ''
    let count = 0
    let number = 0
    for await (const line of lines(source, call.reading)) {
      number++
      if (test.test(line) === Boolean(v)) continue
      count++
      if (l || q) break
      if (!c) await call.print(`${before}${n ? `${number}:` : ''}${line}\n`)
    }
    if (l && !q && count > 0) await call.print(`${name ?? '(standard input)'}\n`)
    if (c && !l && !q) await call.print(`${before}${count}\n`)
    found ||= count > 0
  })
  if (!found && call.state.status === '') call.state.end('no match')
}

/** The most lines that are sorted. */
const MOST = 5_000_000

export async function sort(call: Call): Promise<void> {
  const { r, n, u } = call.options
  const word = call.count('k', 0)
  const all: string[] = []
  await inputs(call, call.args, async source => {
    for await (const line of lines(source, call.reading)) {
      all.push(line)
      if (all.length > MOST) throw new ShellError(`sort: too many lines; at most ${MOST}`)
    }
  })
  const key = (line: string) => (word > 0 ? (line.trim().split(/\s+/)[word - 1] ?? '') : line)
  const number = (line: string) => Number.parseFloat(key(line)) || 0
  const by = n ? (a: string, b: string) => number(a) - number(b) : (a: string, b: string) => compare(key(a), key(b))
  all.sort((a, b) => by(a, b) || (a < b ? -1 : a > b ? 1 : 0))
  if (r) all.reverse()
  const out = u ? all.filter((line, i) => line !== all[i - 1]) : all
  for (let i = 0; i < out.length; i += 1000) await call.print(`${out.slice(i, i + 1000).join('\n')}\n`)
}
