/** Mounts as an ordinary user: fusermount3 opens /dev/fuse and sends back the descriptor over a socket. */
import { closeSync } from 'node:fs'
import { run } from '../mountpoint.js'

const AF_UNIX = 1
const SOCK_STREAM = 1
const SOL_SOCKET = 1
const SCM_RIGHTS = 1
const MSG_DONTWAIT = 0x40
const MSG_CMSG_CLOEXEC = 0x40000000
/** Bytes of a struct cmsghdr followed by one int, on 64-bit Linux: len[8] level[4] type[4] fd[4], padded. */
const CONTROL = 24

/**
 * Loads koffi, which only this file needs: Node has no recvmsg(2), and so cannot receive a descriptor.
 * @throws Error with the remedy if koffi is missing
 */
export async function loadKoffi() {
  try {
    return (await import('koffi')).default
  } catch {
    throw new Error('the npm package koffi is missing or does not load here: npm install koffi (or mount as root)')
  }
}

/**
 * Mounts through fusermount3, which is set-uid root and opens /dev/fuse for users who may not mount. It sends the
 * descriptor over the socket that _FUSE_COMMFD names (SCM_RIGHTS, unix(7)).
 * @returns the descriptor of the device
 * @throws Error with what fusermount3 said, and a remedy for its common refusals
 */
export async function fusermount(dir: string, options: string): Promise<number> {
  const koffi = await loadKoffi()
  const libc = koffi.load(null)
  const iovec = koffi.struct({ base: 'void *', len: 'size_t' })
  const msghdr = koffi.struct({
    name: 'void *',
    namelen: 'uint32_t',
    iov: koffi.pointer(iovec),
    iovlen: 'size_t',
    control: 'void *',
    controllen: 'size_t',
    flags: 'int',
  })
  const socketpair = libc.func('socketpair', 'int', ['int', 'int', 'int', 'void *'])
  const recvmsg = libc.func('recvmsg', 'long', ['int', koffi.pointer(msghdr), 'int'])

  const pair = new Int32Array(2)
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) !== 0) throw new Error('socketpair failed')
  const [ours, theirs] = pair as unknown as [number, number]
  try {
    await run('fusermount3', ['-o', options, '--', dir], { fd: theirs, env: { _FUSE_COMMFD: '3' } }).catch(error => {
      throw new Error(explain((error as Error).message))
    })
    // fusermount3 has ended, so its message is already in the socket
    const control = Buffer.alloc(CONTROL)
    const message = {
      iov: [{ base: Buffer.alloc(1), len: 1 }],
      iovlen: 1,
      control,
      controllen: CONTROL,
    }
    const got = recvmsg(ours, message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC)
    if (got < 0 || control.readInt32LE(8) !== SOL_SOCKET || control.readInt32LE(12) !== SCM_RIGHTS)
      throw new Error('fusermount3 sent no descriptor')
    return control.readInt32LE(16)
  } finally {
    closeSync(ours)
    closeSync(theirs)
  }
}

/** Adds the remedy to fusermount3's most common refusals. */
function explain(said: string): string {
  if (said.includes('user_allow_other')) return `${said} (root must add the line user_allow_other)`
  if (said.includes('/dev/fuse')) return `${said}: have root run chmod 0666 /dev/fuse, or mount as root`
  return said
}
