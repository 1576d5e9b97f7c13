/** Opens /dev/fuse and mounts on it, as root or through fusermount3; says what is missing where FUSE cannot be used. */
import { closeSync, constants, openSync } from 'node:fs'
import { access, readFile } from 'node:fs/promises'
import { FSTYPE, remedies, run } from '../mountpoint.js'
import { fusermount, loadKoffi } from './fusermount.js'

const DEVICE = '/dev/fuse'
const CAP_SYS_ADMIN = 21n

/** The reason why FUSE cannot be used on this machine, in one line with the remedy; undefined if it can be used. */
export async function fuseProblem(): Promise<string | undefined> {
  if (process.platform !== 'linux')
    return `FUSE mounts need Linux, this machine runs ${process.platform}: use the files over 9P (llamboctl cat, ls, write)`
  const open = await access(DEVICE, constants.R_OK | constants.W_OK).then(
    () => undefined,
    (error: NodeJS.ErrnoException) => error.code ?? 'EIO',
  )
  if (open === 'ENOENT')
    return `${DEVICE} is missing: run modprobe fuse (a container needs --device ${DEVICE} --cap-add SYS_ADMIN)`
  if (open) return `cannot open ${DEVICE} (${open}): chmod 0666 ${DEVICE}, or mount as root`
  if (process.getuid?.() === 0) {
    const status = await readFile('/proc/self/status', 'utf8').catch(() => '')
    const capabilities = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)/m.exec(status)?.[1] ?? 'f'.repeat(16)}`)
    if (!((capabilities >> CAP_SYS_ADMIN) & 1n))
      return 'root lacks the capability to mount: start the container with --cap-add SYS_ADMIN'
    return (await inPath('mount')) ? undefined : `mount is missing: ${remedies.mount}`
  }
  if (!(await inPath('fusermount3'))) return `fusermount3 is missing: ${remedies.fusermount3}`
  return loadKoffi().then(
    () => undefined,
    (error: Error) => error.message,
  )
}

async function inPath(program: string): Promise<boolean> {
  for (const dir of (process.env.PATH ?? '').split(':'))
    if (
      dir &&
      (await access(`${dir}/${program}`, constants.X_OK).then(
        () => true,
        () => false,
      ))
    )
      return true
  return false
}

/**
 * Mounts a FUSE file system on a directory that checkMountpoint has accepted. Root uses mount(8), which inherits the
 * open device; other users use fusermount3.
 * @param modes whether the kernel checks the mode bits itself before it sends a request (default_permissions)
 * @returns the descriptor from which the kernel's requests are read
 * @throws Error in one line with the remedy
 */
export async function mountDevice(dir: string, allowOther: boolean, modes: boolean): Promise<number> {
  const problem = await fuseProblem()
  if (problem) throw new Error(problem)
  const shared = (allowOther ? ',allow_other' : '') + (modes ? ',default_permissions' : '')
  if (process.getuid?.() !== 0) {
    if (allowOther && !(await mayAllowOther()))
      throw new Error(
        '--allow-other needs the line user_allow_other in /etc/fuse.conf: have root add it, or mount as root',
      )
    return fusermount(dir, `fsname=llambo,subtype=llambo${shared}`)
  }
  const fd = openSync(DEVICE, 'r+')
  try {
    const options = `fd=3,rootmode=40000,user_id=0,group_id=0,nosuid,nodev${shared}`
    // -i: without a helper program
    await run('mount', ['-i', '-t', FSTYPE, '-o', options, 'llambo', dir], { fd })
    return fd
  } catch (error) {
    closeSync(fd)
    throw error
  }
}

async function mayAllowOther(): Promise<boolean> {
  return /^\s*user_allow_other\s*$/m.test(await readFile('/etc/fuse.conf', 'utf8').catch(() => ''))
}
