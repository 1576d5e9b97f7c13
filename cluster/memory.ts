/**
 * How much memory this process may use, and how much of that is free: the machine's memory, or less if a cgroup limits
 * it.
 */
import { readFileSync } from 'node:fs'
import os from 'node:os'
import { dirname, join, relative } from 'node:path'

export interface Memory {
  /** Bytes that this process may use: the machine's memory, or the lowest limit of its cgroups. */
  readonly total: number
  /** Bytes that it can still take. */
  readonly free: number
}

/** The names of the files in a cgroup directory, which differ between cgroup versions. */
interface Dialect {
  /** Files that hold a number of bytes. The text `max`, or a number beyond the machine's memory, means no limit. */
  readonly limits: readonly string[]
  readonly usage: string
  /** Rows of memory.stat with a limit set by a parent group, which this process may not be able to see. */
  readonly inherited: RegExp
  /** The row of memory.stat with the page cache that the kernel reclaims first. */
  readonly cache: RegExp
}

const v1: Dialect = {
  limits: ['memory.limit_in_bytes'],
  usage: 'memory.usage_in_bytes',
  inherited: /^hierarchical_memory_limit (\d+)$/m,
  cache: /^total_inactive_file (\d+)$/m,
}
const v2: Dialect = {
  // above `high` the kernel slows the group down until it has given memory back, so treat it as a limit too
  limits: ['memory.max', 'memory.high'],
  usage: 'memory.current',
  inherited: /(?!)/,
  cache: /^inactive_file (\d+)$/m,
}

/** A mounted hierarchy of cgroups that counts memory. */
interface Hierarchy extends Dialect {
  readonly mountpoint: string
  /** The group that the mount shows as its root; often not `/` in a container. */
  readonly top: string
  /** The row of /proc/self/cgroup with this process's group in the hierarchy. */
  readonly row: RegExp
}

/**
 * Finds the cgroups of this process once, and reads their limits at each call. `process.constrainedMemory()` does not
 * see the limit of a parent group, and like `process.availableMemory()` it does not count page cache that can be
 * reclaimed, so the files are read here.
 * @param root the directory that contains `proc`
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
 * Counts the processes in the cgroups of this process that the kernel has killed for lack of memory.
 * @param root the directory that contains `proc`
 * @returns a function to call when a process of the group has ended. It returns the lowest limit in bytes, which may be
 *   infinite, if the count has grown since the last call; otherwise undefined
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
    // not on Linux, or a group without this file, such as the topmost
    return ''
  }
}

/** Reads meminfo. The memory that a process can still take is MemAvailable. */
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

/** Decodes the octal escapes of mountinfo, which writes a space as `\040`. */
const unescaped = (text: string) =>
  text.replace(/\\([0-7]{3})/g, (_, octal) => String.fromCharCode(Number.parseInt(octal, 8)))

/** The directories of a group and of all groups around it that the mount shows, innermost first. */
function upwards({ mountpoint, top }: Hierarchy, path: string): string[] {
  const inside = relative(top, path)
  // a group outside the mounted part: a container's own view, whose root is the container's group
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
