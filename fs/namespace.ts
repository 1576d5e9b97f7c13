import { deadline, systemClock } from './clock.js'
import { type FsError, fail, toFsError } from './errors.js'
import { type Attributes, type Context, type Created, type Entry, type File, newQid, type Opened } from './file.js'
import { now } from './kit/content.js'
import { type Qid, QTDIR } from './protocol.js'
import { quote } from './quote.js'

/** bind(1)'s flags: where the new goes, and whether files may be created in it. */
export interface Flags {
  /** In front of what is there, or behind it; else in its place. */
  readonly where?: 'before' | 'after'
  /** Files created in the union go here. */
  readonly create?: boolean
}

/** A file, and where it was found: what is mounted below that place is seen below the file wherever it is bound. */
interface Member {
  readonly file: File
  readonly at: string
}

/** One bind or mount: what it put there, and the words that do it again. Without words: what was there before. */
interface Bound {
  readonly members: readonly Member[]
  readonly create: boolean
  readonly words?: {
    readonly verb: string
    readonly flags: Flags
    readonly from: string
    readonly rest: readonly string[]
  }
  readonly number: number
}

/** How long one member of a union may keep the others waiting, in ms. */
const MEMBER_MS = 3000

/** An absolute path without `.`, `..` and doubled slashes; `..` at the root stays there. */
export function clean(path: string): string {
  const out: string[] = []
  for (const name of path.split('/')) {
    if (name === '..') out.pop()
    else if (name !== '' && name !== '.') out.push(name)
  }
  return `/${out.join('/')}`
}

const below = (path: string, name: string): string => (path === '/' ? `/${name}` : `${path}/${name}`)
const within = (path: string, dir: string): boolean => dir === '/' || path === dir || path.startsWith(`${dir}/`)
const isDirectory = (file: File): boolean => (file.qid.type & QTDIR) !== 0

/**
 * A mount table over trees of Files: bind(1), mount, unmount, ns(1), with union directories. It is itself such a tree (`root`), which
 * can be served. A place that nothing is behind (`/n` of `/n/llambo`) is an empty directory with what is mounted below.
 *
 * In a union a name is looked up in order and the first that has it wins; a listing has all names, each once; a file is created in the
 * first member that was bound with -c. A member that fails, or does not answer within 3 s, is passed over unless it is the only one.
 */
export class Namespace {
  readonly #table = new Map<string, Bound[]>()
  readonly #qids = new Map<string, Qid>()
  #number = 0

  /** @param devices trees that `bind` takes by a name that begins with `#`, as Plan 9's kernel devices */
  constructor(
    readonly owner: { readonly name: string; readonly uid: number },
    readonly devices: ReadonlyMap<string, File> = new Map(),
  ) {}

  /** The whole as one tree. */
  get root(): File {
    return this.#place('/', undefined)
  }

  /** A copy that goes its own way. */
  clone(): Namespace {
    const copy = new Namespace(this.owner, this.devices)
    for (const [path, bound] of this.#table) copy.#table.set(path, [...bound])
    copy.#number = this.#number
    return copy
  }

  /**
   * Has another server's tree seen at `old`.
   * @param from the dial string, as `ns` is to show it, and behind it what else the command takes (the attach name)
   * @throws FsError `file does not exist` where `old` is in a tree that has no such file
   */
  mount(
    tree: File,
    from: string,
    old: string,
    flags: Flags,
    ctx: Context,
    rest: readonly string[] = [],
  ): Promise<void> {
    const members = [{ file: tree, at: `${from}${rest.map(word => ` ${word}`).join('')}` }]
    return this.#put(clean(old), members, { verb: 'mount', flags, from, rest }, ctx)
  }

  /** Has `from`, a path or a device, seen at `old` as well. What is mounted there now counts, not what will be. */
  async bind(from: string, old: string, flags: Flags, ctx: Context): Promise<void> {
    const device = this.devices.get(from)
    if (from.startsWith('#') && !device) throw fail('notFound', `${from}: ${[...this.devices.keys()].join(' ')}`)
    const path = device ? from : clean(from)
    const members = device ? [{ file: device, at: from }] : await this.#members(path, ctx)
    await this.#put(clean(old), members, { verb: 'bind', flags, from: path, rest: [] }, ctx)
  }

  /** Takes away what was bound or mounted at `old`: all, or what came from `from`. @throws FsError if there is none */
  unmount(old: string, from?: string): void {
    const path = clean(old)
    const bound = this.#table.get(path)
    if (!bound) throw fail('badArgument', `${path}: nothing is mounted there`)
    const source = from === undefined || !from.startsWith('/') ? from : clean(from)
    const left = source === undefined ? [] : bound.filter(({ words }) => words?.from !== source)
    if (left.length === bound.length) throw fail('badArgument', `${source} is not mounted at ${path}`)
    if (left.some(({ words }) => words)) this.#table.set(path, left)
    else this.#table.delete(path)
  }

  /** The commands that make it, a line each (namespace(6)), in an order in which they can be replayed. */
  text(): string {
    const lines: { number: number; line: string }[] = []
    for (const [old, bound] of this.#table) {
      const original = bound.some(({ words }) => !words)
      const mounts = bound.filter(({ words }) => words).sort((a, b) => a.number - b.number)
      for (const [i, { words, create, number }] of mounts.entries()) {
        const { verb, flags, from, rest } = words!
        // the first of a union that hides what was there stands in its place, however it came in
        const where = i === 0 && !original ? '' : flags.where === 'before' ? 'b' : 'a'
        const letters = `${where}${create ? 'c' : ''}`
        const line = [verb, ...(letters ? [`-${letters}`] : []), ...[from, old, ...rest].map(quote)].join(' ')
        lines.push({ number, line })
      }
    }
    return lines
      .sort((a, b) => a.number - b.number)
      .map(({ line }) => `${line}\n`)
      .join('')
  }

  /** Where the tree begins that a path is in, and what stands there: the deepest mount above it. Undefined: none. */
  source(path: string): { readonly old: string; readonly from: string } | undefined {
    const old = [...this.#table.keys()].filter(dir => within(path, dir)).sort((a, b) => b.length - a.length)[0]
    const words = old === undefined ? undefined : this.#table.get(old)!.find(({ words }) => words)?.words
    return words && { old: old!, from: words.from }
  }

  /** A walk from the root. Undefined: there is no such file. */
  async find(path: string, ctx: Context): Promise<File | undefined> {
    let at: File | undefined = this.root
    for (const name of clean(path).split('/').filter(Boolean)) {
      if (!at) return undefined
      if (!at.walk) throw fail('notDirectory')
      at = await at.walk(name, ctx)
    }
    return at
  }

  async #members(path: string, ctx: Context): Promise<readonly Member[]> {
    const place = (await this.find(path, ctx)) as Place | undefined
    if (!place) throw fail('notFound', path)
    return place.members.length > 0 ? place.members : [{ file: place, at: path }]
  }

  async #put(old: string, members: readonly Member[], words: NonNullable<Bound['words']>, ctx: Context): Promise<void> {
    if (old === '/') throw fail('badArgument', '/: nothing can be mounted over the root')
    const { where, create = false } = words.flags
    const bound = { members, create, words, number: ++this.#number }
    const there = await this.#mountPoint(old, ctx)
    const before: readonly Bound[] =
      this.#table.get(old) ??
      (there && there.members.length > 0 ? [{ members: there.members, create: false, number: 0 }] : [])
    if (there && !this.#bare(there) && isDirectory(there) !== isDirectory(members[0]!.file))
      throw fail(isDirectory(there) ? 'notDirectory' : 'isDirectory', `${words.from} for ${old}`)
    this.#table.set(old, where === 'before' ? [bound, ...before] : where === 'after' ? [...before, bound] : [bound])
  }

  /** What is at a place where something is to be mounted. Undefined: nothing, and nothing is behind it. */
  async #mountPoint(old: string, ctx: Context): Promise<Place | undefined> {
    let at = this.root as Place
    for (const name of old.split('/').filter(Boolean)) {
      if (!isDirectory(at)) throw fail('notDirectory', at.path)
      const next = (await at.walk(name, ctx)) as Place | undefined
      if (!next && !this.#bare(at)) throw fail('notFound', below(at.path, name))
      if (!next) return undefined
      at = next
    }
    return at
  }

  /** Whether a place is only what leads to mounts. */
  #bare(place: Place): boolean {
    return place.members.length === 0
  }

  #place(path: string, bound: readonly Bound[] | undefined, members: readonly Member[] = []): Place {
    return new Place(this, path, bound ? bound.flatMap(({ members }) => members) : members, bound)
  }

  /** @internal the child of a place, for Place */
  async child(place: Place, name: string, ctx: Context): Promise<Place | undefined> {
    const paths = [place.path, ...place.members.map(({ at }) => at)].map(at => below(at, name))
    const path = paths[0]!
    for (const at of paths) {
      const bound = this.#table.get(at)
      if (bound) return this.#place(path, bound)
    }
    const member = await first(place.members, ctx, async ({ file, at }, ctx) => {
      const found = await file.walk?.(name, ctx)
      return found && { file: found, at: below(at, name) }
    })
    if (member) return this.#place(path, undefined, [member])
    const leads = [...this.#table.keys()].some(key => paths.some(at => key.startsWith(`${at}/`)))
    return leads ? this.#place(path, undefined) : undefined
  }

  /** @internal what is mounted below a place, by name; asking nobody, for any of them may be dead */
  mountsBelow(place: Place): Map<string, File> {
    const out = new Map<string, File>()
    for (const at of new Set([place.path, ...place.members.map(({ at }) => at)])) {
      const prefix = at === '/' ? '/' : `${at}/`
      for (const [key, bound] of this.#table) {
        if (!key.startsWith(prefix) || key === '/') continue
        const [name = '', ...deeper] = key.slice(prefix.length).split('/')
        const file = deeper.length === 0 ? bound[0]!.members[0]!.file : undefined
        if (!out.has(name) || file) out.set(name, this.#shown(file?.qid ?? this.qid(below(place.path, name))))
      }
    }
    return out
  }

  /** What a listing shows of a mount: its kind. */
  #shown(qid: Qid): File {
    const attributes = () => this.bare()
    const open = (): never => {
      throw fail('permission')
    }
    return { qid, attributes, open }
  }

  /** @internal the attributes of a place that nothing is behind */
  bare(): Attributes {
    return { mode: 0o555, owner: this.owner, length: 0, mtime: now(), atime: now() }
  }

  /** @internal the qid of such a place */
  qid(path: string): Qid {
    let qid = this.#qids.get(path)
    if (!qid) this.#qids.set(path, (qid = newQid(QTDIR)))
    return qid
  }
}

/** A file or directory of a name space. */
class Place implements File {
  readonly qid: Qid

  constructor(
    readonly space: Namespace,
    readonly path: string,
    readonly members: readonly Member[],
    readonly bound: readonly Bound[] | undefined,
  ) {
    this.qid = members[0]?.file.qid ?? space.qid(path)
  }

  get #file(): File | undefined {
    return this.members[0]?.file
  }

  get decided(): boolean {
    return this.#file?.decided ?? false
  }

  attributes(ctx: Context): Attributes | Promise<Attributes> {
    return this.#file?.attributes(ctx) ?? this.space.bare()
  }

  walk(name: string, ctx: Context): Promise<Place | undefined> {
    return this.space.child(this, name, ctx)
  }

  open(mode: number, ctx: Context): Opened | Promise<Opened> {
    const mounts = isDirectory(this) ? this.space.mountsBelow(this) : undefined
    if (this.#file && this.members.length === 1 && !mounts?.size) return this.#file.open(mode, ctx)
    return { list: ctx => this.#list(ctx) }
  }

  async #list(ctx: Context): Promise<Iterable<Entry>> {
    const out = this.space.mountsBelow(this)
    const lists = await each(this.members, ctx, async ({ file }, ctx) => {
      const opened = await file.open(0, ctx)
      try {
        return [...((await opened.list?.(ctx)) ?? [])]
      } finally {
        Promise.resolve(opened.close?.()).catch(() => undefined)
      }
    })
    for (const list of lists) for (const [name, file] of list) if (!out.has(name)) out.set(name, file)
    return out
  }

  async create(name: string, perm: number, mode: number, ctx: Context): Promise<Created> {
    const into = this.members.length === 1 ? this.#file : this.bound?.find(({ create }) => create)?.members[0]?.file
    if (!into?.create)
      throw fail('permission', this.members.length > 1 ? 'no part of this union was bound with -c' : undefined)
    return into.create(name, perm, mode, ctx)
  }

  async remove(ctx: Context): Promise<void> {
    if (this.bound || !this.#file?.remove) throw fail('permission', this.bound && 'something is mounted there')
    await this.#file.remove(ctx)
  }

  async truncate(ctx: Context): Promise<void> {
    await this.#file?.truncate?.(ctx)
  }

  async change(changes: { name?: string; length?: number }, ctx: Context): Promise<void> {
    if (this.bound || !this.#file?.change) throw fail('permission')
    await this.#file.change(changes, ctx)
  }
}

/** Asks every member at once, each for its time. @returns what those that answered said, in order. @throws if none did */
async function each<T>(
  members: readonly Member[],
  ctx: Context,
  ask: (member: Member, ctx: Context) => Promise<T>,
): Promise<T[]> {
  if (members.length <= 1) return Promise.all(members.map(member => ask(member, ctx)))
  const asked = await Promise.allSettled(members.map(member => promptly(ctx, ctx => ask(member, ctx))))
  if (ctx.signal.aborted) throw fail('interrupted')
  const answers = asked.flatMap(one => (one.status === 'fulfilled' ? [one.value] : []))
  if (answers.length === 0) throw (asked[0] as PromiseRejectedResult).reason
  return answers
}

/** What the first member in order says that is not undefined. */
async function first<T>(
  members: readonly Member[],
  ctx: Context,
  ask: (member: Member, ctx: Context) => Promise<T | undefined>,
): Promise<T | undefined> {
  if (members.length <= 1) return members[0] && ask(members[0], ctx)
  const asked = members.map(member => promptly(ctx, ctx => ask(member, ctx)).catch(toFsError))
  let failed: FsError | undefined
  for (const one of asked) {
    const answer = await one
    if (answer instanceof Error) failed ??= answer as FsError
    else if (answer !== undefined) return answer
  }
  if (failed) throw failed
}

/** Asks for MEMBER_MS, and waits no longer even if what was asked does not give up. */
async function promptly<T>(ctx: Context, ask: (ctx: Context) => Promise<T>): Promise<T> {
  const late = deadline(systemClock, MEMBER_MS, () => fail('io', `no answer within ${MEMBER_MS / 1000} s`))
  const signal = AbortSignal.any([ctx.signal, late.signal])
  try {
    return await Promise.race([
      ask({ user: ctx.user, signal }),
      new Promise<never>((_, reject) =>
        signal.addEventListener('abort', () => reject(late.signal.aborted ? late.signal.reason : fail('interrupted'))),
      ),
    ])
  } finally {
    late.cancel()
  }
}
