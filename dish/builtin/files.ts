/** The builtins about files: `ls`, `cat`, `cp`, `rm`, `mkdir`, `rmdir`, `stat` and `find`. */

import { FsError, fail } from '../../api/errors.js'
import { modeText, statRecord, timeText } from '../../cli/listing.js'
import { bytes } from '../../cli/output.js'
import { Flow, isProse } from '../../cli/terminal/flow.js'
import { clip, width } from '../../cli/terminal/width.js'
import { namesOf } from '../../fs/base/path.js'
import { DMDIR, OREAD, type Stat } from '../../fs/wire/protocol.js'
import type { Call } from '../call.js'
import { values } from '../expand.js'
import { ShellError } from '../failure.js'
import { pattern } from '../glob.js'
import { parse } from '../parser.js'
import * as tree from '../tree.js'

const { isDirectory } = tree

export async function ls(call: Call): Promise<void> {
  const paths = call.args.length > 0 ? call.args : ['.']
  const all: { path: string; entries: Stat[] }[] = []
  await call.each(paths, async given => {
    const path = call.path(given)
    const stat = await tree.stat(call.state, path, call.signal)
    const inside = isDirectory(stat) && !call.options.d
    const full = Boolean(call.options.l || call.options.json)
    const entries = inside ? await tree.list(call.state, path, call.signal, full) : [{ ...stat, name: given }]
    all.push({ path: given, entries })
  })
  if (call.options.json) return call.json(all.flatMap(({ entries }) => entries.map(toJson)))
  for (const [i, { path, entries }] of all.entries()) {
    if (paths.length > 1 && !(entries.length === 1 && entries[0]!.name === path))
      await call.print(`${i > 0 ? '\n' : ''}${path}:\n`)
    await call.styled(call.options.l ? long(call, entries) : short(call, entries))
  }
}

const toJson = (stat: Stat) => ({
  name: stat.name,
  mode: modeText(stat),
  owner: stat.uid,
  size: Number(stat.length),
  changed: new Date(stat.mtime * 1000).toISOString(),
})

const label = (call: Call, entry: Stat) => (isDirectory(entry) ? call.paint(34, entry.name) : call.paint(0, entry.name))

function long(call: Call, entries: readonly Stat[]): string {
  const { terminal } = call
  const rows = entries.map(entry => [
    modeText(entry),
    call.paint(0, entry.uid),
    terminal ? bytes(Number(entry.length)) : String(entry.length),
    timeText(entry.mtime),
    label(call, entry),
  ])
  if (!terminal) return rows.map(row => `${row.join('\t')}\n`).join('')
  const all = [['mode', 'owner', 'size', 'changed', 'name'], ...rows]
  const widths = all[0]!.map((_, i) => Math.max(...all.map(row => width(row[i]!))))
  const cell = (text: string, i: number) => {
    const room = ' '.repeat(widths[i]! - width(text))
    return i === 2 ? room + text : i === 4 ? text : text + room
  }
  return all.map(row => `${row.map(cell).join('  ')}\n`).join('')
}

/** Names in columns on a terminal, filled downwards and then across; otherwise one name a line. */
function short(call: Call, entries: readonly Stat[]): string {
  const names = entries.map(entry => label(call, entry))
  const { columns } = call.out
  if (columns === undefined || names.length === 0) return names.map(name => `${name}\n`).join('')
  const wide = Math.max(...names.map(width)) + 2
  const across = Math.max(1, Math.floor((columns + 2) / wide))
  const rows = Math.ceil(names.length / across)
  return Array.from({ length: rows }, (_, i) => {
    const row = names.filter((_, j) => j % rows === i)
    return `${row.map((name, j) => (j < row.length - 1 ? name + ' '.repeat(wide - width(name)) : clip(name, columns))).join('')}\n`
  }).join('')
}

export async function cat(call: Call): Promise<void> {
  if (call.args.length === 0) {
    for (;;) {
      const data = await call.io.stdin.read(call.reading)
      if (data.length === 0) return
      await call.data(data)
    }
  }
  await call.each(call.args, path => print(call, call.path(path)))
}

/** Prints a file as its content arrives. */
export async function print(call: Call, path: string): Promise<void> {
  const fid = await tree.open(call.state, path, OREAD, call.signal)
  try {
    await answer(call, path, data => tree.drain(call.state, path, fid, call.reading, data))
  } finally {
    fid.drop()
  }
}

/** Prints what `read` delivers. On a terminal an answer is wrapped at spaces. */
export async function answer(
  call: Call,
  path: string,
  read: (sink: (data: Uint8Array) => Promise<void>) => Promise<unknown>,
): Promise<void> {
  if (!call.terminal || !isProse(path.split('/'))) return void (await read(data => call.data(data)))
  const flow = new Flow(() => call.out.columns ?? 80)
  await read(data => call.print(flow.push(data)))
  await call.print(flow.end())
}

export async function cp(call: Call): Promise<void> {
  const sources = call.args.slice(0, -1)
  const target = call.path(call.args.at(-1)!)
  const into = await tree.find(call.state, target, call.signal)
  const inside = into !== undefined && isDirectory(into)
  if (sources.length > 1 && !inside) throw call.usage(`${target}: not a directory; several files need one`)
  await call.each(sources, async source => {
    const from = call.path(source)
    const to = inside ? `${target}/${from.split('/').at(-1)}` : target
    const fid = await tree.open(call.state, from, OREAD, call.signal)
    try {
      const written = await tree.openToWrite(call.state, to, call.signal)
      const sink = new tree.FileSink(call.state, to, written.fid, written.offset)
      try {
        await tree.drain(call.state, from, fid, call.signal, data => sink.write(data, call.signal))
      } catch (error) {
        written.fid.drop()
        throw error
      }
      await sink.end(call.signal)
    } finally {
      fid.drop()
    }
  })
}

async function remove(call: Call, path: string): Promise<void> {
  await tree.named(call.state, path, call.signal, () =>
    tree.quickly(call.signal, async signal => {
      const root = await call.state.space.root()
      const fid = await root.walk(namesOf(path), signal)
      await fid.remove()
    }),
  )
}

/** A command's error about one file. */
const about = (path: string, code: 'isDirectory' | 'notDirectory', remedy = '') =>
  new ShellError(`${path}: ${fail(code).message}${remedy}`)

export async function rm(call: Call): Promise<void> {
  const clear = async (path: string): Promise<void> => {
    for (const entry of await tree.list(call.state, path, call.signal)) {
      const below = `${path}/${entry.name}`
      if (isDirectory(entry)) await clear(below)
      await remove(call, below).catch(ignoreGone)
    }
  }
  await call.each(call.args, async given => {
    const path = call.path(given)
    const stat = await (call.options.f ? tree.find : tree.stat)(call.state, path, call.signal)
    if (!stat) return
    if (isDirectory(stat)) {
      if (!call.options.r) throw about(path, 'isDirectory', '; use rm -r, or rmdir for a session or a task')
      await clear(path)
    }
    await remove(call, path)
  })
}

/** Ignores the error of a file that somebody else removed meanwhile. */
function ignoreGone(error: unknown): void {
  if (!(error instanceof ShellError && error.cause instanceof FsError && error.cause.isMissing)) throw error
}

export async function rmdir(call: Call): Promise<void> {
  await call.each(call.args, async given => {
    const path = call.path(given)
    if (!isDirectory(await tree.stat(call.state, path, call.signal))) throw about(path, 'notDirectory')
    await remove(call, path)
  })
}

export async function mkdir(call: Call): Promise<void> {
  await call.each(call.args, path => tree.make(call.state, call.path(path), (DMDIR | 0o755) >>> 0, call.signal))
}

export async function stat(call: Call): Promise<void> {
  await call.each(call.args, async given => {
    const path = call.path(given)
    await call.print(`${statRecord(path, await tree.stat(call.state, path, call.signal))}\n`)
  })
}

/** The matcher for `--name`. The pattern arrives as plain text and is parsed here, so that its globs count. */
async function nameTest(call: Call, text: string): Promise<RegExp> {
  const node = parse(`~ '' ${text}`)[0]?.node
  if (node?.kind !== 'match') throw call.unfit('a pattern', text, 'name')
  const [value] = await values(node.patterns[0] ?? [], call.state, async () => '')
  return pattern(value ?? [])
}

export async function find(call: Call): Promise<void> {
  const { name, type } = call.options
  if (type !== undefined && type !== 'd' && type !== 'f') throw call.unfit('d or f', type, 'type')
  const test = typeof name === 'string' ? await nameTest(call, name) : undefined
  const deepest = call.count('depth', 20)
  const show = async (path: string, last: string, directory: boolean) => {
    if ((!test || test.test(last)) && (!type || (type === 'd') === directory)) await call.print(`${path}\n`)
  }
  const down = async (path: string, level: number): Promise<void> => {
    if (level >= deepest) return
    // a directory that does not answer is reported, and the others are still listed
    const entries = await tree.list(call.state, call.path(path), call.signal).catch(error => call.failed(error))
    for (const entry of entries ?? []) {
      const below = path.endsWith('/') ? path + entry.name : `${path}/${entry.name}`
      await show(below, entry.name, isDirectory(entry))
      if (isDirectory(entry)) await down(below, level + 1)
    }
  }
  await call.each(call.args.length > 0 ? call.args : ['.'], async path => {
    const at = await tree.stat(call.state, call.path(path), call.signal)
    await show(path, path.split('/').at(-1)!, isDirectory(at))
    if (isDirectory(at)) await down(path, 0)
  })
}
