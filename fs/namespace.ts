/** A mount table over trees of Files: bind(1), mount, unmount and ns(1), with union directories. */
import { fail } from './base/errors.js'
import { clean, isWithin, namesOf } from './base/path.js'
import { quote } from './base/quote.js'
import { type Attributes, type Context, type Created, type Entry, type File, newQid, type Opened } from './file.js'
import { now } from './kit/content.js'
import { entriesOf } from './kit/dir.js'
import { askAll, askFirst, PATIENCE_MS } from './kit/fan-out.js'
import { type Qid, QTDIR } from './wire/protocol.js'

/** The flags of bind(1): where the new files go, and whether files may be created in them. */
export interface Flags {
  /** Before or after what is there; if absent, the new files replace it. */
  readonly where?: 'before' | 'after'
  /** Files created in the union are created here. */
  readonly create?: boolean
}

/** A file and its identity: what is mounted on it appears wherever the file does. */
interface Member {
  readonly file: File
  readonly id: string
}

/**
 * One bind or mount: the files that it added, and the words of the command that repeats it. Without words, it stands
 * for what was there before.
 */
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

/** Everything that is mounted on one file, and the path of that file when it was mounted. */
interface Mounted {
  readonly old: string
  readonly bound: readonly Bound[]
}

const below = (path: string, name: string): string => (path === '/' ? `/${name}` : `${path}/${name}`)
const isDirectory = (file: File): boolean => (file.qid.type & QTDIR) !== 0

/**
 * The mount table. Its `root` is itself a tree of Files, which can be served. As in Plan 9, a mount is made on a file,
 * not on a name: where that file is bound elsewhere, the mount appears there, too. A directory that only leads to
 * mounts (`/n` of `/n/llambo`) exists and contains nothing else.
 *
 * In a union, a name is looked up in order and the first member that has it wins; a listing has each name once; a file
 * is created in the first member that was bound with -c. A member that fails or does not answer within 3 s is skipped,
 * unless it is the only one.
 */
export class Namespace {
  /** By the id of the file on which something is mounted. */
  readonly #table = new Map<string, Mounted>()
  readonly #qids = new Map<string, Qid>()
  #number = 0

  /**
   * @param devices trees that `bind` takes by a name that begins with `#`, like Plan 9's kernel devices
   * @param member_ms how long one member of a union may keep the others waiting
   */
  constructor(
    readonly owner: { readonly name: string; readonly uid: number },
    readonly devices: ReadonlyMap<string, File> = new Map(),
    readonly member_ms = PATIENCE_MS,
  ) {}

  /** The whole name space as one tree. */
  get root(): File {
    return this.#root
  }

  get #root(): NamespaceFile {
    return new NamespaceFile(this, [{ file: this.#bare('/'), id: '/' }])
  }

  /** A copy; later changes to either do not affect the other. */
  clone(): Namespace {
    const copy = new Namespace(this.owner, this.devices, this.member_ms)
    for (const [id, mounted] of this.#table) copy.#table.set(id, mounted)
    copy.#number = this.#number
    return copy
  }

  /**
   * Mounts another server's tree at `old`.
   * @param from the dial string, as `ns` shows it
   * @param rest further arguments of the command (the attach name), which `ns` shows after `old`
   * @throws FsError `file does not exist` if `old` is in a tree that has no such file
   */
  mount(
    tree: File,
    from: string,
    old: string,
    flags: Flags,
    ctx: Context,
    rest: readonly string[] = [],
  ): Promise<void> {
    const members = [{ file: tree, id: [from, ...rest].join(' ') }]
    return this.#put(clean(old), members, { verb: 'mount', flags, from, rest }, ctx)
  }

  /**
   * Binds `from`, a path or a device, to `old`: what is mounted on `from` now also appears at `old`; what is mounted
   * over it later does not.
   */
  async bind(from: string, old: string, flags: Flags, ctx: Context): Promise<void> {
    const device = this.devices.get(from)
    if (from.startsWith('#') && !device)
      throw fail('notFound', `no device "${from}"; devices: ${[...this.devices.keys()].join(' ')}`)
    const path = device ? from : clean(from)
    const place = device ? undefined : await this.#find(path, ctx)
    if (!device && !place) throw fail('notFound', path)
    const members = place?.members ?? [{ file: device!, id: from }]
    await this.#put(clean(old), members, { verb: 'bind', flags, from: path, rest: [] }, ctx)
  }

  /**
   * Removes what was bound or mounted at `old`: everything, or what came from `from`. @throws FsError if there is none
   */
  unmount(old: string, from?: string): void {
    const path = clean(old)
    const [id, mounted] = this.#at(path) ?? []
    if (id === undefined || !mounted) throw fail('badArgument', `nothing is mounted at ${path}`)
    const source = from === undefined || !from.startsWith('/') ? from : clean(from)
    const left = source === undefined ? [] : mounted.bound.filter(({ words }) => words?.from !== source)
    if (left.length === mounted.bound.length) throw fail('badArgument', `${source} is not mounted at ${path}`)
    if (left.some(({ words }) => words)) this.#table.set(id, { old: mounted.old, bound: left })
    else this.#table.delete(id)
  }

  /** The commands that make this name space, one per line (namespace(6)), in an order in which they can be replayed. */
  text(): string {
    const lines: { number: number; line: string }[] = []
    for (const { old, bound } of this.#table.values()) {
      const original = bound.some(({ words }) => !words)
      const mounts = bound.filter(({ words }) => words).sort((a, b) => a.number - b.number)
      for (const [i, { words, create, number }] of mounts.entries()) {
        const { verb, flags, from, rest } = words!
        // the first member of a union that hides the original replaces it, whatever flag it was added with
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

  /** The deepest mount at or above a path: its mount point, and what is mounted there. Undefined if there is none. */
  source(path: string): { readonly old: string; readonly from: string } | undefined {
    const [deepest] = [...this.#table.values()]
      .filter(({ old }) => isWithin(path, old))
      .sort((a, b) => b.old.length - a.old.length)
    const words = deepest?.bound.find(({ words }) => words)?.words
    return words && { old: deepest!.old, from: words.from }
  }

  /** The newest mount at a path. */
  #at(path: string): [string, Mounted] | undefined {
    return [...this.#table].findLast(([, { old }]) => old === path)
  }

  async #find(path: string, ctx: Context): Promise<NamespaceFile | undefined> {
    let at: NamespaceFile | undefined = this.#root
    for (const name of namesOf(path)) {
      if (at && !isDirectory(at)) throw fail('notDirectory')
      at = await at?.walk(name, ctx)
    }
    return at
  }

  async #put(old: string, members: readonly Member[], words: NonNullable<Bound['words']>, ctx: Context): Promise<void> {
    if (old === '/') throw fail('badArgument', 'cannot mount over the root /')
    const { where, create = false } = words.flags
    const { id, place } = await this.#mountPoint(old, ctx)
    if (place && isDirectory(place) !== isDirectory(members[0]!.file))
      throw fail(
        isDirectory(place) ? 'isDirectory' : 'notDirectory',
        `cannot mount ${words.from} on ${old}: one is a directory, the other is not`,
      )
    const bound = { members, create, words, number: ++this.#number }
    const before: readonly Bound[] =
      this.#table.get(id)?.bound ?? (place ? [{ members: place.members, create: false, number: 0 }] : [])
    const all = where === 'before' ? [bound, ...before] : where === 'after' ? [...before, bound] : [bound]
    this.#table.delete(id)
    this.#table.set(id, { old, bound: all })
  }

  /**
   * Finds the file on which to mount. In a directory that only leads to mounts, `place` is undefined if the name is
   * new.
   */
  async #mountPoint(old: string, ctx: Context): Promise<{ id: string; place: NamespaceFile | undefined }> {
    let at = this.#root
    const path = namesOf(old)
    for (const [i, name] of path.entries()) {
      if (!isDirectory(at)) throw fail('notDirectory', `/${path.slice(0, i).join('/')}`)
      const next = await at.walk(name, ctx)
      if (next) {
        at = next
        continue
      }
      const bare = at.members.find(({ id }) => id.startsWith('/'))
      if (!bare) throw fail('notFound', `/${path.slice(0, i + 1).join('/')}`)
      return { id: below(bare.id, path.slice(i).join('/')), place: undefined }
    }
    return { id: at.on, place: at }
  }

  /** @internal the child of a place, for Place */
  async child(place: NamespaceFile, name: string, ctx: Context): Promise<NamespaceFile | undefined> {
    const member = await askFirst(place.members, this.member_ms, ctx, async ({ file, id }, ctx) => {
      const found = await file.walk?.(name, ctx)
      return found && { file: found, id: below(id, name) }
    })
    if (!member) return undefined
    const bound = this.#table.get(member.id)?.bound
    return bound
      ? new NamespaceFile(
          this,
          bound.flatMap(({ members }) => members),
          member.id,
          bound,
        )
      : new NamespaceFile(this, [member])
  }

  /** A directory that only leads to mounts, found by the ids of the files on which those are mounted. */
  #bare(id: string): File {
    let qid = this.#qids.get(id)
    if (!qid) this.#qids.set(id, (qid = newQid(QTDIR)))
    const prefix = id === '/' ? '/' : `${id}/`
    const find = (name: string): File | undefined => {
      const child = below(id, name)
      const mounted = this.#table.get(child)
      if (mounted) return this.#shown(mounted.bound[0]!.members[0]!.file.qid)
      return [...this.#table.keys()].some(key => key.startsWith(`${child}/`)) ? this.#bare(child) : undefined
    }
    const list = (): Entry[] => {
      const keys = [...this.#table.keys()].filter(key => key.startsWith(prefix))
      return [...new Set(keys.map(key => key.slice(prefix.length).split('/')[0]!))].map(name => [name, find(name)!])
    }
    return { qid, attributes: () => this.#attributes(), walk: find, open: () => ({ list }) }
  }

  /** What a listing shows for a mount: its type, without asking its server, which may be dead. */
  #shown(qid: Qid): File {
    const open = (): never => {
      throw fail('permission')
    }
    return { qid, attributes: () => this.#attributes(), open }
  }

  #attributes(): Attributes {
    return { mode: 0o555, owner: this.owner, length: 0, mtime: now(), atime: now() }
  }
}

/** A file or directory of a name space, with one member or several. */
class NamespaceFile implements File {
  /** @param on the id of the file on which `bound`, if given, is mounted */
  constructor(
    readonly space: Namespace,
    readonly members: readonly Member[],
    readonly on = members[0]!.id,
    readonly bound?: readonly Bound[],
  ) {}

  get #file(): File {
    return this.members[0]!.file
  }

  get qid(): Qid {
    return this.#file.qid
  }

  get decided(): boolean {
    return this.#file.decided ?? false
  }

  attributes(ctx: Context): Attributes | Promise<Attributes> {
    return this.#file.attributes(ctx)
  }

  walk(name: string, ctx: Context): Promise<NamespaceFile | undefined> {
    return this.space.child(this, name, ctx)
  }

  open(mode: number, ctx: Context): Opened | Promise<Opened> {
    if (this.members.length === 1 || !isDirectory(this)) return this.#file.open(mode, ctx)
    return { list: ctx => this.#list(ctx) }
  }

  async #list(ctx: Context): Promise<Iterable<Entry>> {
    const out = new Map<string, File>()
    const lists = await askAll(this.members, this.space.member_ms, ctx, ({ file }, ctx) => entriesOf(file, ctx))
    for (const list of lists) for (const [name, file] of list) if (!out.has(name)) out.set(name, file)
    return out
  }

  async create(name: string, perm: number, mode: number, ctx: Context): Promise<Created> {
    const into = this.members.length === 1 ? this.#file : this.bound?.find(({ create }) => create)?.members[0]?.file
    if (!into?.create)
      throw fail(
        'permission',
        this.members.length > 1 ? 'cannot create files in this union: none of its parts was bound with -c' : undefined,
      )
    return into.create(name, perm, mode, ctx)
  }

  async remove(ctx: Context): Promise<void> {
    if (this.bound || !this.#file.remove) throw fail('permission', this.bound && 'something is mounted there')
    await this.#file.remove(ctx)
  }

  async truncate(ctx: Context): Promise<void> {
    await this.#file.truncate?.(ctx)
  }

  async change(changes: { name?: string; length?: number }, ctx: Context): Promise<void> {
    if (this.bound || !this.#file.change) throw fail('permission')
    await this.#file.change(changes, ctx)
  }
}
