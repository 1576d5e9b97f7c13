/** How much memory the process may use, as the machine and its cgroups say. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import { dirname, join } from 'node:path'
import t, { type Test } from 'tap'
import { memoryReader, oomKills } from '../../cluster/memory.js'
import { Group } from '../cgroup.js'

const MiB = 2 ** 20

/**
 * The memory, in MiB, that is read from the files of a machine of 8,000 MiB, 6,000 of them available, and from the
 * given files.
 */
function machine(t: Test, files: Record<string, string>) {
  const root = t.testdir()
  const all = { 'proc/meminfo': 'MemTotal: 8192000 kB\nMemFree: 1 kB\nMemAvailable: 6144000 kB\n', ...files }
  for (const [path, text] of Object.entries(all)) {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), text)
  }
  const { total, free } = memoryReader(root)()
  return [total / MiB, free / MiB]
}

const two = (path = '/app/llambo', top = '/') => ({
  'proc/self/cgroup': `0::${path}\n`,
  'proc/self/mountinfo': `22 1 0:20 / /proc rw - proc proc rw\n30 22 0:26 ${top} /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n`,
})
const one = (path = '/docker/abc', top = '/') => ({
  'proc/self/cgroup': `9:name=systemd:/x\n4:cpu,memory:${path}\n1:cpuset:/y\n`,
  'proc/self/mountinfo': [
    '31 22 0:29 / /cg/cpuset rw - cgroup cgroup rw,cpuset',
    `32 22 0:32 ${top} /cg/the\\040memory rw - cgroup cgroup rw,cpu,memory\n`,
  ].join('\n'),
})

t.test('without a limit the memory is the machine’s', async t => {
  t.strictSame(machine(t, {}), [8000, 6000], 'no cgroups')
  t.strictSame(machine(t, two()), [8000, 6000], 'a group without files')
  const dir = 'sys/fs/cgroup/app/llambo'
  t.strictSame(
    machine(t, { ...two(), [`${dir}/memory.max`]: 'max\n', [`${dir}/memory.current`]: '5\n' }),
    [8000, 6000],
    'max',
  )
  t.strictSame(
    machine(t, {
      ...one(),
      'cg/the memory/docker/abc/memory.limit_in_bytes': '9223372036854771712\n',
      'cg/the memory/docker/abc/memory.usage_in_bytes': '1000\n',
    }),
    [8000, 6000],
    'a huge number',
  )
})

t.test('cgroup v2: free is the limit less what is used, plus the cache that can be reclaimed', async t => {
  const dir = 'sys/fs/cgroup/app/llambo'
  const files = {
    ...two(),
    [`${dir}/memory.max`]: `${1500 * MiB}\n`,
    [`${dir}/memory.current`]: `${600 * MiB}\n`,
    [`${dir}/memory.stat`]: `anon 1\ninactive_file ${100 * MiB}\nactive_file 7\n`,
  }
  t.strictSame(machine(t, files), [1500, 1000])
  t.strictSame(machine(t, { ...files, [`${dir}/memory.high`]: `${800 * MiB}\n` }), [800, 300], 'memory.high counts')
  t.strictSame(
    machine(t, {
      ...files,
      'sys/fs/cgroup/app/memory.max': `${1200 * MiB}\n`,
      'sys/fs/cgroup/app/memory.current': `${1100 * MiB}\n`,
    }),
    [1200, 100],
    'a group around it has a lower limit, and others use it too',
  )
  t.strictSame(
    machine(t, { ...files, 'sys/fs/cgroup/app/memory.max': '1000\n', 'sys/fs/cgroup/app/memory.current': '5000\n' }),
    [1000 / MiB, 0],
    'free is never below 0',
  )
  t.strictSame(
    machine(t, { ...files, 'proc/meminfo': 'MemTotal: 8192000 kB\nMemAvailable: 102400 kB\n' }),
    [1500, 100],
    'free is never more than the machine has available',
  )
})

t.test('cgroup v1: the same, with the limits of parent groups that are not shown', async t => {
  const files = {
    ...one(),
    'cg/the memory/docker/abc/memory.limit_in_bytes': `${1500 * MiB}\n`,
    'cg/the memory/docker/abc/memory.usage_in_bytes': `${600 * MiB}\n`,
    'cg/the memory/docker/abc/memory.stat': `inactive_file 1\ntotal_inactive_file ${200 * MiB}\n`,
  }
  t.strictSame(machine(t, files), [1500, 1100])
  t.strictSame(
    machine(t, {
      ...files,
      'cg/the memory/docker/abc/memory.stat': `hierarchical_memory_limit ${700 * MiB}\ntotal_inactive_file 0\n`,
    }),
    [700, 100],
  )
})

t.test('in a container the mount shows the container’s group as its root', async t => {
  const group = { 'memory.max': `${500 * MiB}\n`, 'memory.current': `${100 * MiB}\n` }
  const at = (dir: string) => Object.fromEntries(Object.entries(group).map(([name, text]) => [`${dir}/${name}`, text]))
  t.strictSame(machine(t, { ...two('/docker/abc', '/docker/abc'), ...at('sys/fs/cgroup') }), [500, 400], 'the root')
  t.strictSame(
    machine(t, { ...two('/docker/abc/in', '/docker/abc'), ...at('sys/fs/cgroup/in') }),
    [500, 400],
    'a group below it',
  )
  t.strictSame(
    machine(t, { ...two('/../other', '/docker/abc'), ...at('sys/fs/cgroup') }),
    [500, 400],
    'a group outside it',
  )
})

const group = Group.make()

t.test('a process sees the limit of its cgroup', { skip: group === undefined && 'no cgroup can be made' }, async t => {
  t.teardown(() => group!.remove())
  group!.limit(512 * MiB)
  const reader = new URL('../../cluster/memory.js', import.meta.url)
  const program = `import { memoryReader, oomKills } from '${reader}'; console.log(JSON.stringify(memoryReader()()))`
  const [command, ...args] = [...group!.within, process.execPath, '--input-type=module', '-e', program]
  const { total, free } = JSON.parse(String(execFileSync(command!, args)))
  t.equal(total, 512 * MiB)
  t.ok(free > 300 * MiB && free < 512 * MiB, `${free} bytes are free`)
  t.ok(memoryReader()().total <= os.totalmem(), 'the test itself is outside of that group')
})

t.test('a process that the kernel killed for lack of memory is counted once, with the limit of its group', async t => {
  const rows = [
    { ...two(), dir: 'sys/fs/cgroup/app/llambo', limit: 'memory.max', kills: 'memory.events' },
    { ...one(), dir: 'cg/the memory/docker/abc', limit: 'memory.limit_in_bytes', kills: 'memory.oom_control' },
  ]
  for (const { dir, limit, kills, ...files } of rows) {
    const root = t.testdir()
    const write = (path: string, text: string) => {
      mkdirSync(dirname(join(root, path)), { recursive: true })
      writeFileSync(join(root, path), text)
    }
    for (const [path, text] of Object.entries(files)) write(path, text)
    write(`${dir}/${limit}`, `${1500 * MiB}\n`)
    write(`${dir}/memory.current`, '1\n')
    write(`${dir}/memory.usage_in_bytes`, '1\n')
    write(`${dir}/${kills}`, 'oom 3\noom_kill 2\n')
    const asked = oomKills(root)
    t.equal(asked(), undefined, 'earlier kills do not count')
    write(`${dir}/${kills}`, 'oom 4\noom_kill 3\n')
    t.equal(asked(), 1500 * MiB)
    t.equal(asked(), undefined)
  }
})
