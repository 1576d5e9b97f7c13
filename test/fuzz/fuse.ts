/** Fuzzes the FUSE driver between a kernel and a hostile server. */

import type { Fid } from '../../fs/client/client.js'
import { type Message, pack } from '../../fs/wire/message.js'
import type { Dialect } from '../../fs/wire/protocol.js'
import { Driver } from '../../mnt/fuse/driver.js'
import { Loop } from '../../mnt/fuse/loop.js'
import { Link } from '../../mnt/link.js'
import { frame, unframe } from './frames.js'
import { HostileServer, listing, statOf } from './hostile.js'
import { Kernel, message } from './kernel.js'
import { replies } from './replies.js'
import { fault, settle, type Target } from './target.js'

const OPTION = { lawless: 1, stops: 2, plain: 4, shared: 8, traces: 16, small: 32, refuses: 64, cut: 128 } as const
/**
 * How many turns are certainly enough for a request to become messages, or for a reply to lead to the next ones; and
 * how many are mostly enough.
 */
const TURNS = 40
const FEW_TURNS = 15
/** How many rounds of questions and answers are enough for everything to end. */
const ROUNDS = 40
/** The byte of a request, in the header's padding, that says that the next request does not wait for this one. */
const PADDING = 38

/**
 * The FUSE driver between a kernel and a hostile server. A message whose bytes 5 and 6 are 0 (an opcode below 256, a
 * tag of 0) is a request of the kernel; any other message is sent by the server (hostile.ts). Before the next request,
 * open requests are answered as an ordinary server would, unless the request's padding is odd. The options byte: 1 a
 * kernel that breaks its own rules; 2 stops halfway, and requests in progress are answered at once and undone later; 4
 * plain 9P2000; 8 shared; 16 traces; 32 small messages; 64 a server that refuses everything; 128 loses the connection
 * halfway.
 */
export const fuse: Target = {
  name: 'fuse',
  framed: true,
  seeds: () =>
    (['9P2000.u', '9P2000'] as const).flatMap((dialect, i) => {
      const how = i * OPTION.plain
      return [
        ...requests.map(list => frame(how, list)),
        ...requests.map(list => frame(how | OPTION.shared | OPTION.cut, list)),
        ...requests.map(list => frame(how | OPTION.stops, list)),
        ...requests.flatMap(list => list.map((_, i) => frame(how | OPTION.stops, pending(list, i)))),
        ...requests.flatMap(list => lies(dialect).map(said => frame(how, list.toSpliced(list.length >> 1, 0, said)))),
        ...listings(dialect).map(list => frame(how, list)),
      ]
    }),
  async run(input) {
    const options = input[0] ?? 0
    const has = (name: keyof typeof OPTION) => (options & OPTION[name]) !== 0
    const list = unframe(input)
    const server = new HostileServer(has('plain') ? '9P2000' : '9P2000.u', has('small') ? 512 : 65536, has('refuses'))
    const kernel = new Kernel()
    const turn = (turns = TURNS) => settle(() => false, turns)
    const trace = has('traces') ? { trace: () => {} } : {}
    const opening = Link.open({ address: 'fuzz', dial: async () => server.wire, ...trace }, 0)
    // Tversion, in plain 9P2000 a second one with a smaller msize, and Tattach
    for (let i = 0; i < 3; i++) {
      await turn()
      server.answer()
    }
    const link = await opening
    const root = await link.root(0)
    const driver = new Driver(link, root, { uid: 0, gid: 0 }, has('shared'))
    const loop = new Loop(kernel, driver, has('traces') ? () => {} : undefined)
    const numbers = counted(root.client)
    try {
      for (const [i, m] of list.entries()) {
        if (has('cut') && i > list.length >> 1) server.wire.destroy()
        if (has('stops') && i === list.length >> 1) {
          loop.stop()
          check('not answered when it stopped', [...kernel.waiting.keys()])
        }
        if (m.length >= 7 && (m[5]! | m[6]!) !== 0) {
          if (server.say(m)) await turn(FEW_TURNS)
          continue
        }
        if (!((m[PADDING] ?? 0) & 1)) await quiet(server, () => turn(FEW_TURNS), 3)
        if (kernel.ask(m, has('lawless'))) await turn(FEW_TURNS)
      }
      await turn()
      await quiet(server, turn, ROUNDS)
      const heard = !server.wire.over && !server.lost
      if (heard) check('answered by the server, not by the driver', [...kernel.waiting.keys()])
      if (heard && !has('lawless')) {
        kernel.letGo()
        await turn()
        await quiet(server, turn, ROUNDS)
        const { nodes } = driver
        if (nodes.size > 1) fault(`${nodes.size - 1} nodes are left, all were forgotten`)
        // only the roots are left, which the link holds for its users
        const left = [...server.fids].filter(([, at]) => !at.root).map(([fid]) => fid)
        if (!server.wire.over) check('fids left', left)
        if (!server.wire.over && numbers.taken !== server.fids.size - 1)
          fault(`${numbers.taken} fid numbers are taken for ${server.fids.size - 1} fids`)
      }
      server.wire.destroy()
      if (!(await settle(() => kernel.waiting.size === 0)))
        check('not answered when the connection was gone', [...kernel.waiting.keys()])
    } finally {
      link.close()
      kernel.end()
    }
    check('kernel', kernel.wrong)
    check('server', server.wrong)
  },
}

function check(what: string, wrong: readonly unknown[]): void {
  if (wrong.length > 0) fault(`${what}: ${wrong.join('; ')}`)
}

/** Answers until nothing more is asked. */
async function quiet(server: HostileServer, turn: () => Promise<unknown>, rounds: number): Promise<void> {
  for (let i = 0; i < rounds && server.asked.size > 0 && !server.wire.over && !server.lost; i++) {
    server.answer()
    await turn()
  }
}

/** Counts the fid numbers that a client takes from now on, minus those that it gives back. */
function counted(client: Fid['client']): { taken: number } {
  const count = { taken: 0 }
  const take = client.takeFid.bind(client)
  const give = client.giveFid.bind(client)
  client.takeFid = () => {
    count.taken++
    return take()
  }
  client.giveFid = fid => {
    count.taken--
    give(fid)
  }
  return count
}

const MODES = { read: 0, write: 1, both: 2, truncate: 0o1000 } as const
const LARGE = 4096
const whole = (fh: number, offset = 0, size = LARGE) => ({ fh, offset, size })
const bytes = new TextEncoder().encode('greet you\n')
const look = (name: string, parent = 1) => message('LOOKUP', { name }, parent)
const write = { fh: 1, size: bytes.length, data: bytes }

const INIT = message('INIT', { major: 7, minor: 38, flags: 0xffffffff, max_readahead: 65536 })
/**
 * What programs make the kernel ask. Nodes and handles are numbered in the order in which they come, nodes from 2 and
 * handles from 1.
 */
const requests: readonly Uint8Array[][] = [
  [
    INIT,
    look('file'),
    message('GETATTR', {}, 2),
    message('OPEN', { flags: MODES.both | MODES.truncate }, 2),
    message('READ', whole(1), 2),
    message('WRITE', write, 2),
    message('FLUSH', { fh: 1 }, 2),
    message('FSYNC', { fh: 1 }, 2),
    message('GETATTR', { getattr_flags: 1, fh: 1 }, 2),
    message('RELEASE', { fh: 1 }, 2),
    message('FORGET', { nlookup: 1 }, 2),
    message('DESTROY'),
  ],
  [
    message('OPENDIR'),
    message('READDIR', whole(1)),
    message('READDIR', whole(1, 3, 100)),
    message('READDIRPLUS', whole(1)),
    message('READDIRPLUS', whole(1, 4, 300)),
    message('FSYNCDIR', { fh: 1 }),
    message('RELEASEDIR', { fh: 1 }),
    look('dir'),
    look('file', 3),
    message('OPENDIR', {}, 3),
    message('READDIRPLUS', whole(2), 3),
    message('BATCH_FORGET', { count: 1, data: pair(4, 1) }),
  ],
  [
    message('CREATE', { name: 'new', flags: MODES.write, mode: 0o644 }),
    message('WRITE', { ...write, offset: 5 }, 2),
    message('SETATTR', { valid: 0x40 | 8, fh: 1, size: 0 }, 2),
    message('SETATTR', { valid: 1 | 0x20, mode: 0o600, mtime: 77 }, 2),
    message('SETATTR', { valid: 0x120 }, 2),
    message('RENAME', { newdir: 1, oldname: 'new', newname: 'newer' }),
    message('RENAME2', { newdir: 1, flags: 1, oldname: 'newer', newname: 'file' }),
    message('RELEASE', { fh: 1 }, 2),
    message('UNLINK', { name: 'file' }),
    message('MKDIR', { name: 'dir', mode: 0o755 }),
    look('file', 3),
    message('RENAME', { newdir: 3, oldname: 'a', newname: 'b' }),
    message('RMDIR', { name: 'dir' }),
    message('ACCESS', { mask: 4 }, 2),
  ],
  [
    look('file'),
    message('OPEN', {}, 2, false),
    message('INTERRUPT', { unique: 2 }, 0, false),
    message('OPEN', {}, 2),
    message('READ', whole(1), 2, false),
    message('READ', whole(1, 7), 2, false),
    message('INTERRUPT', { unique: 5 }, 0, false),
    message('RELEASE', { fh: 1 }, 2, false),
    message('LOOKUP', { name: 'file' }, 1, false),
    message('INTERRUPT', { unique: 9 }, 0, false),
    message('LOOKUP', { name: 'none' }, 1, false),
    message('CREATE', { name: 'new', flags: MODES.both }, 1, false),
    message('INTERRUPT', { unique: 12 }, 0, false),
    message('MKDIR', { name: 'dir' }, 1, false),
    message('INTERRUPT', { unique: 14 }, 0, false),
    message('UNLINK', { name: 'file' }, 1, false),
    message('STATFS', {}, 1, false),
  ],
  [
    message('STATFS'),
    message('READLINK'),
    message('SYMLINK', { name: 'a', target: 'b' }),
    message('MKNOD', { name: 'a' }),
    message('LINK', { oldnodeid: 1, name: 'a' }),
    look('a/b'),
    look(''),
    look('..'),
    look('dir'),
    look('dir', 4),
    look('dir', 5),
    message('GETATTR', {}, 6),
    message('GETATTR', {}, 1, false).subarray(0, 20),
    message('READ', { fh: 9, size: 10 }, 9),
  ],
]

/**
 * The first requests, the last of them once more, and then as many others, so that it is in progress when half of all
 * were made.
 */
function pending(list: readonly Uint8Array[], last: number): Uint8Array[] {
  const begun = list.slice(0, last + 1)
  const next = list[last]!.slice()
  if (next.length > PADDING) next[PADDING] = 1
  return [...begun, next, ...Array(begun.length).fill(message('STATFS'))]
}

function pair(nodeid: number, nlookup: number): Uint8Array {
  const out = Buffer.alloc(16)
  out.writeUInt32LE(nodeid, 0)
  out.writeUInt32LE(nlookup, 8)
  return out
}

/** Ordinary replies of every type, whatever the request. */
function lies(dialect: Dialect): Uint8Array[] {
  return replies(dialect)
    .flat()
    .map(m => {
      m[5] = 0
      m[6] = 1
      return m
    })
}

/** Listings with names that no directory can have. */
function listings(dialect: Dialect): Uint8Array[][] {
  const names = ['..', '.', '', 'a/b', 'ordinary', 'x'.repeat(255), 'y'.repeat(256), 'z'.repeat(4000)]
  return names.map(name => {
    const stats = ['file', name, 'last'].map(n => statOf(n))
    const said = pack({ type: 'Rread', tag: 0x100, data: listing(stats, dialect) } as Message, dialect)
    return [
      message('OPENDIR'),
      message('READDIR', whole(1, 0, 8192)),
      said,
      message('READDIRPLUS', whole(1, 0, 8192)),
      said,
      message('READDIRPLUS', whole(1, 2, 8192)),
      look('file'),
    ]
  })
}
