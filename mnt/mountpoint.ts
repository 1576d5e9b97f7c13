/**
 * Directories to mount on: the kernel's mount table, stale mounts, unmounting, and whether a directory can be mounted
 * on.
 */
import { execFile, spawn } from 'node:child_process'
import { constants } from 'node:fs'
import { access, lstat, readdir, readFile, realpath, stat } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'

/** The file system type of our mounts in the kernel's table; df and findmnt show it. */
export const FSTYPE = 'fuse.llambo'
/** Time within which a live file system answers, in ms. */
const ALIVE_MS = 5000

/** How long a program that mounts or unmounts may take, in ms. */
const RUN_MS = 20_000
/** Characters of its standard error that are kept; only the first line is reported. */
const MAX_SAID = 1_000

export interface Mount {
  /** The kernel's number of the mount. */
  id: number
  /** The device number of its file system, `major:minor`. */
  device: string
  dir: string
  type: string
}

const root = () => process.getuid?.() === 0

/** The kernel's mount table (proc(5), /proc/PID/mountinfo), in the order of mounting. Empty if there is no /proc. */
export async function mounts(): Promise<Mount[]> {
  const text = await readFile('/proc/self/mountinfo', 'utf8').catch(() => '')
  return text
    .split('\n')
    .filter(line => line !== '')
    .map(line => {
      const [id, , device = '', , dir = ''] = line.split(' ')
      const type = line.slice(line.indexOf(' - ') + 3).split(' ')[0]!
      // spaces, tabs, newlines and backslashes are written as \ooo
      const name = dir.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)))
      return { id: Number(id), device, dir: Buffer.from(name, 'latin1').toString('utf8'), type }
    })
}

/**
 * The directory's real path, found without touching the directory if something is mounted on it: a stale mount fails
 * every access.
 */
export async function mountName(dir: string): Promise<string> {
  const whole = resolve(dir)
  // an access to a mount that hangs would not return
  if ((await mounts()).some(mount => mount.dir === whole)) return whole
  try {
    return await realpath(whole)
  } catch {
    return join(await realpath(dirname(whole)).catch(() => dirname(whole)), basename(whole))
  }
}

/** The mounts on the directory, the topmost last. */
export async function mountsOn(dir: string): Promise<Mount[]> {
  const name = await mountName(dir)
  return (await mounts()).filter(mount => mount.dir === name)
}

/**
 * Whether the mount is of no use any more: the process behind it is gone ("Transport endpoint is not connected"), or it
 * is one of ours and its server is gone. In the second case it answers EIO while it waits for the server; a new mount
 * in its place is better.
 */
async function stale({ dir, type }: Mount): Promise<boolean> {
  // another process tries first: a thread of this process that hangs there would keep the process from exiting
  if (!(await answers(dir))) return false
  const gone = ['ENOTCONN', 'ECONNABORTED', ...(type === FSTYPE ? ['EIO'] : [])]
  return stat(dir).then(
    () => false,
    error => gone.includes(error.code),
  )
}

/** Whether the file system at a path answers at all, even with an error, within ALIVE_MS. */
export function answers(path: string): Promise<boolean> {
  return new Promise(done => {
    const child = execFile('stat', ['--', path], { cwd: '/', timeout: ALIVE_MS, killSignal: 'SIGKILL' }, error => {
      done(!error?.killed)
    })
    child.unref()
    // a process that waits for a file system cannot always be killed
    setTimeout(() => done(false), ALIVE_MS + 500).unref()
  })
}

/** The directories of our mounts that are stale: every access there fails. */
export async function deadMounts(): Promise<string[]> {
  const ours = (await mounts()).filter(({ type }) => type === FSTYPE)
  const dead = await Promise.all(ours.map(mount => stale(mount)))
  return ours.filter((_, i) => dead[i]).map(({ dir }) => dir)
}

/** Whether one of our mounts is on the directory, live or not. */
export async function isMounted(dir: string): Promise<boolean> {
  return (await mountsOn(dir)).some(mount => mount.type === FSTYPE)
}

/** Unmounts FUSE mounts on the directory whose process or server is gone. Live mounts and other file systems stay. */
export async function clearStale(dir: string): Promise<void> {
  for (;;) {
    const top = (await mountsOn(dir)).at(-1)
    if (!top?.type.startsWith('fuse') || !(await stale(top))) return
    await detach(top.dir, true)
  }
}

/**
 * Unmounts one of our mounts. If programs still use it, it leaves the tree now, and the kernel releases it when they
 * are done.
 * @throws Error if no mount of ours is on the directory, or with what the unmounting program said
 */
export async function unmount(dir: string): Promise<void> {
  const name = await mountName(dir)
  const ours = async () => (await mountsOn(dir)).filter(mount => mount.type === FSTYPE).length
  const before = await ours()
  if (before === 0) throw new Error(`llambo is not mounted on ${dir}; findmnt -t ${FSTYPE} lists its mounts`)
  try {
    await detach(name, false)
  } catch (error) {
    if ((await ours()) < before) return
    await detach(name, true).catch(() => {
      throw error
    })
  }
}

function detach(dir: string, lazy: boolean): Promise<void> {
  // -i, -n: no helper program and no mtab, because both would access the file system
  return root()
    ? run('umount', ['-i', '-n', ...(lazy ? ['-l'] : []), '--', dir])
    : run('fusermount3', [lazy ? '-uz' : '-u', '--', dir])
}

/**
 * Runs a program to its end, or for RUN_MS.
 * @param o.fd a descriptor of ours that it gets as its descriptor 3
 * @param o.env variables that it gets besides ours
 * @throws Error with the first line of its standard error, that it is missing and how to install it, or that it has not
 *   ended in time
 */
export function run(file: string, args: string[], o: { fd?: number; env?: NodeJS.ProcessEnv } = {}): Promise<void> {
  return new Promise((done, failed) => {
    // in a process group of its own, so that Ctrl-C in our terminal does not reach it
    const child = spawn(file, args, {
      cwd: '/',
      detached: true,
      env: { ...process.env, ...o.env },
      stdio: ['ignore', 'ignore', 'pipe', ...(o.fd === undefined ? [] : [o.fd])],
    })
    const stderr = child.stderr!
    // a process that waits for a file system cannot always be killed: its end is not waited for
    const late = setTimeout(() => {
      child.kill('SIGKILL')
      child.unref()
      stderr.destroy()
      failed(new Error(`${file} did not end within ${RUN_MS / 1000} s; look at what hangs with ps and dmesg`))
    }, RUN_MS)
    let said = ''
    stderr.setEncoding('utf8').on('data', (text: string) => {
      said = (said + text).slice(0, MAX_SAID)
    })
    child.once('error', () => clearTimeout(late))
    child.once('close', () => clearTimeout(late))
    child.once('error', (error: NodeJS.ErrnoException) =>
      failed(error.code === 'ENOENT' ? new Error(`${file} is missing: ${remedies[file] ?? 'install it'}`) : error),
    )
    child.once('close', (code, signal) => {
      if (code === 0) done()
      else
        failed(
          new Error(
            said.trim().split('\n')[0] || `${file} ${signal ? `was killed by ${signal}` : `exited with code ${code}`}`,
          ),
        )
    })
  })
}

/** What to do about a program that is missing. */
export const remedies: Record<string, string> = {
  fusermount3: 'install the package fuse3 (or mount as root)',
  mount: 'install the package mount or util-linux',
  umount: 'install the package mount or util-linux',
}

/**
 * Checks that a directory can be mounted on, and clears stale mounts from it first.
 * @throws Error that says in one line what is wrong and what to do
 */
export async function checkMountpoint(dir: string): Promise<void> {
  await clearStale(dir)
  const there = (await mountsOn(dir)).at(-1)
  if (there?.type === FSTYPE)
    throw new Error(
      `llambo is already mounted on ${dir}: mount on another directory, or unmount it with llamboctl umount ${dir}`,
    )
  const kind = await lstat(await mountName(dir)).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') throw new Error(`${dir} does not exist: run mkdir -p ${dir}`)
    throw new Error(`${dir}: ${error.message}`)
  })
  if (!kind.isDirectory()) throw new Error(`${dir} is not a directory: mount on a directory`)
  if (!root()) {
    // fusermount3 requires both: write permission, and ownership if the directory is sticky
    const writable = await access(dir, constants.W_OK).then(
      () => true,
      () => false,
    )
    if (!writable || (kind.mode & 0o1000 && kind.uid !== process.getuid?.()))
      throw new Error(`you may not mount on ${dir}: use a directory of your own, such as ~/n/llambo`)
  }
  const [first] = await readdir(dir).catch((error: Error) => {
    throw new Error(`${dir}: ${error.message}`)
  })
  if (first !== undefined) throw new Error(`${dir} is not empty (it has ${first}): mount on an empty directory`)
}
