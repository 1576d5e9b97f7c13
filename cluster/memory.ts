/** How much memory this process may use, and how much of it is free: the machine's, or less where a cgroup has a limit. */
import { readFileSync } from 'node:fs'
import os from 'node:os'
import { dirname, join, relative } from 'node:path'

export interface Memory {
  /** Bytes that this process may use: the machine's, or the lowest limit of its cgroups. */
  readonly total: number
  /** Bytes that it could still take. */
  readonly free: number
}

/** The files of one cgroup directory. */
interface Dialect {
  /** Files with a number of bytes. The text `max` and a number beyond the machine's memory are no limit. */
  readonly limits: readonly string[]
  readonly usage: string
  /** Rows of memory.stat with a limit that a parent sets, perhaps one that this process cannot see. */
  readonly inherited: RegExp
  /** The row of memory.stat with the page cache that the kernel takes back first. */
  readonly cache: RegExp
}

const v1: Dialect = {
  limits: ['memory.limit_in_bytes'],
  usage: 'memory.usage_in_bytes',
  inherited: /^hierarchical_memory_limit (\d+)$/m,
  cache: /^total_inactive_file (\d+)$/m,
}
const v2: Dialect = {
  // past `high` the kernel slows the group down until it has given memory back: nobody wants to run there
  limits: ['memory.max', 'memory.high'],
  usage: 'memory.current',
  inherited: /(?!)/,
  cache: /^inactive_file (\d+)$/m,
}

/** Where a hierarchy of cgroups that counts memory is mounted. */
interface Hierarchy extends Dialect {
  readonly mountpoint: string
  /** The group that the mount shows as its top: in a container often not `/`. */
  readonly top: string
  /** The row of /proc/self/cgroup that has this process's group in the hierarchy. */
  readonly row: RegExp
}

/**
 * Looks for limits of this process once, and reads them at each call. `process.constrainedMemory()` sees neither a parent's limit
 * nor, with `process.availableMemory()`, that page cache can be given back, so the files are read here.
 * @param root the directory that has `proc`
 */
export function memoryReader(root = '/'): () => Memory {
  const hierarchies = mounted(read(join(root, 'proc/self/mountinfo')))
  return () => {
    let { total, free } = machine(read(join(root, 'proc/meminfo')))
    const own = read(join(root, 'proc/self/cgroup'))
    for (const hierarchy of hierarchies) {
      const path = hierarchy.row.exec(own)?.[1]
      if (path === undefined) continue
      for (const dir of upwards(hierarchy, path)) {
        const group = limitOf(join(root, dir), hierarchy)
        total = Math.min(total, group.total)
        free = Math.min(free, group.free)
      }
    }
    return { total, free: Math.max(0, Math.min(free, total)) }
  }
}

/**
 * Counts the processes that the kernel has ended for want of memory in the cgroups of this process.
 * @param root the directory that has `proc`
 * @returns to be asked when a process of the group has ended: the lowest limit in bytes, perhaps infinite, where the count has
 *   grown since it was asked last; else undefined
 */
export function oomKills(root = '/'): () => number | undefined {
  const hierarchies = mounted(read(join(root, 'proc/self/mountinfo')))
  const groups = () => {
    const own = read(join(root, 'proc/self/cgroup'))
    return hierarchies.flatMap(hierarchy => {
      const path = hierarchy.row.exec(own)?.[1]
      const dirs = path === undefined ? [] : upwards(hierarchy, path)
      return dirs.map(dir => ({ dir: join(root, dir), hierarchy }))
    })
  }
  const count = (dir: string) => {
    const text = read(join(dir, 'memory.events')) || read(join(dir, 'memory.oom_control'))
    return Number(/^oom_kill (\d+)$/m.exec(text)?.[1] ?? 0)
  }
  const now = () => new Map(groups().map(({ dir }) => [dir, count(dir)]))
  let before = now()
  return () => {
    const after = now()
    const grown = [...after].some(([dir, kills]) => kills > (before.get(dir) ?? kills))
    before = after
    if (!grown) return undefined
    return Math.min(...groups().map(({ dir, hierarchy }) => limitOf(dir, hierarchy).total))
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    // no Linux, or a group without this file, as the topmost
    return ''
  }
}

/** What a process could still take is what the kernel calls available. */
function machine(meminfo: string): Memory {
  const of = (name: string) => {
    const kib = new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(meminfo)?.[1]
    return kib === undefined ? undefined : Number(kib) * 1024
  }
  return { total: of('MemTotal') ?? os.totalmem(), free: of('MemAvailable') ?? os.freemem() }
}

function mounted(mountinfo: string): Hierarchy[] {
  return mountinfo.split('\n').flatMap((line): Hierarchy[] => {
    const [before = '', after = ''] = line.split(' - ')
    const [, , , top = '/', mountpoint] = before.split(' ').map(unescaped)
    const [type, , options = ''] = after.split(' ')
    if (mountpoint === undefined) return []
    if (type === 'cgroup2') return [{ ...v2, mountpoint, top, row: /^0::(\/.*)$/m }]
    const counts = type === 'cgroup' && options.split(',').includes('memory')
    return counts ? [{ ...v1, mountpoint, top, row: /^\d+:(?:[^:]*,)?memory(?:,[^:]*)?:(\/.*)$/m }] : []
  })
}

/** mountinfo writes a blank as `\040`. */
const unescaped = (text: string) =>
  text.replace(/\\([0-7]{3})/g, (_, octal) => String.fromCharCode(Number.parseInt(octal, 8)))

/** The directories of a group and of all groups around it that the mount shows, from the inside out. */
function upwards({ mountpoint, top }: Hierarchy, path: string): string[] {
  const inside = relative(top, path)
  // a group outside of what is mounted: a container's own view, whose top is that container's group
  let dir = inside.startsWith('..') ? mountpoint : join(mountpoint, inside)
  const dirs = [dir]
  for (; dir !== mountpoint && dir !== '/'; dirs.push(dir)) dir = dirname(dir)
  return dirs
}

function limitOf(dir: string, { limits, inherited, usage, cache }: Dialect): Memory {
  const stat = read(join(dir, 'memory.stat'))
  const total = Math.min(...limits.map(name => bytes(read(join(dir, name)).trim())), bytes(inherited.exec(stat)?.[1]))
  const used = bytes(read(join(dir, usage)).trim())
  if (!Number.isFinite(total) || !Number.isFinite(used)) return { total, free: total }
  return { total, free: total - used + Number(cache.exec(stat)?.[1] ?? 0) }
}

const bytes = (text = '') => (/^\d+$/.test(text) ? Number(text) : Number.POSITIVE_INFINITY)
