/** The fuzzer's seeds for the server: requests. */

import { untouched } from '../../fs/base/attributes.js'
import { inDialect, type Message, pack, type TMessage } from '../../fs/wire/message.js'
import { type Dialect, DMDIR, NOFID } from '../../fs/wire/protocol.js'

type Loose = { type: TMessage['type']; [field: string]: unknown }

const files = [
  'text',
  'later',
  'bytes',
  'private',
  'ctl',
  'log',
  'feed',
  'data',
  'clone',
  'slow',
  'dir',
  'gen',
  'both',
  'ram',
]
const attach: Loose = { type: 'Tattach', fid: 0, afid: NOFID, uname: 'glenda', aname: '', n_uname: NOFID }
const attributes = {
  valid: 0x1ff,
  mode: 0o600,
  uid: 0,
  gid: 0,
  size: 0n,
  atime_sec: 0n,
  atime_nsec: 0n,
  mtime_sec: 0n,
  mtime_nsec: 0n,
}

/** What a client may do with one file, in some dialect. */
function uses(name: string): Loose[] {
  return [
    { type: 'Twalk', fid: 0, newfid: 1, wname: [name] },
    { type: 'Tstat', fid: 1 },
    { type: 'Tgetattr', fid: 1, request_mask: 0x7ffn },
    { type: 'Topen', fid: 1, mode: 2 },
    { type: 'Tlopen', fid: 1, flags: 2 },
    { type: 'Twrite', fid: 1, offset: 0n, data: new TextEncoder().encode('greet you\n') },
    { type: 'Tread', fid: 1, offset: 0n, count: 4000 },
    { type: 'Tread', fid: 1, offset: 5n, count: 10 },
    { type: 'Tclunk', fid: 1 },
    { type: 'Twalk', fid: 0, newfid: 2, wname: [name] },
    { type: 'Topen', fid: 2, mode: 0 },
    { type: 'Tlopen', fid: 2, flags: 0 },
    { type: 'Tread', fid: 2, offset: 0n, count: 8000 },
    { type: 'Treaddir', fid: 2, offset: 0n, count: 8000 },
    { type: 'Tread', fid: 2, offset: 6n, count: 8000 },
    { type: 'Tflush' },
    { type: 'Tclunk', fid: 2 },
  ]
}

const others: Loose[][] = [
  [
    { type: 'Tauth', afid: 5, uname: 'glenda', aname: '', n_uname: 1 },
    { type: 'Twrite', fid: 5, offset: 0n, data: new TextEncoder().encode('sesame') },
    { ...attach, fid: 6, afid: 5 },
    { ...attach, fid: 7, aname: 'dir?chunk' },
  ],
  [
    { type: 'Twalk', fid: 0, newfid: 1, wname: ['ram'] },
    { type: 'Tcreate', fid: 1, name: 'new', perm: 0o666, mode: 2, extension: '' },
    { type: 'Tlcreate', fid: 1, name: 'new', flags: 0o102, mode: 0o666, gid: 0 },
    { type: 'Twrite', fid: 1, offset: 3n, data: new Uint8Array([1, 2, 3]) },
    { type: 'Twstat', fid: 1, stat: { ...untouched(), name: 'other' } },
    { type: 'Twstat', fid: 1, stat: { ...untouched(), length: 0n } },
    { type: 'Twstat', fid: 1, stat: untouched() },
    { type: 'Tsetattr', fid: 1, ...attributes },
    { type: 'Tfsync', fid: 1, datasync: 0 },
    { type: 'Twalk', fid: 0, newfid: 2, wname: ['ram'] },
    { type: 'Trename', fid: 1, dfid: 2, name: 'third' },
    { type: 'Trenameat', olddirfid: 2, oldname: 'third', newdirfid: 2, newname: 'fourth' },
    { type: 'Tmkdir', dfid: 2, name: 'sub', mode: 0o755, gid: 0 },
    { type: 'Tcreate', fid: 2, name: 'sub', perm: (DMDIR | 0o755) >>> 0, mode: 0, extension: '' },
    { type: 'Tunlinkat', dirfid: 2, name: 'fourth', flags: 0 },
    { type: 'Tstatfs', fid: 2 },
    { type: 'Tlock', fid: 1, ltype: 0, flags: 0, start: 0n, length: 0n, proc_id: 1, client_id: 'x' },
    { type: 'Txattrwalk', fid: 1, newfid: 9, name: '' },
    { type: 'Tremove', fid: 1 },
  ],
  [
    // all at once: the file is clunked while it is being opened
    { type: 'Twalk', fid: 0, newfid: 1, wname: ['slow'] },
    { type: 'Topen', fid: 1, mode: 2 },
    { type: 'Tlopen', fid: 1, flags: 2 },
    { type: 'Tclunk', fid: 1 },
  ],
  [
    { type: 'Twalk', fid: 0, newfid: 1, wname: ['gen', 'x', 'file'] },
    { type: 'Twalk', fid: 1, newfid: 1, wname: ['..', '..', '.', 'nothing'] },
    { type: 'Twalk', fid: 1, newfid: 3, wname: [] },
    { type: 'Topen', fid: 3, mode: 0x40 },
    { type: 'Tremove', fid: 3 },
    { type: 'Tversion', msize: 8192, version: '9P2000' },
  ],
]

/**
 * Sequences of requests that a client of this dialect may send. The first is an attach, each request has its own tag,
 * and each flush is of the request before it.
 */
export function requests(dialect: Dialect): Uint8Array[][] {
  return [...files.map(uses), ...others].map(list =>
    [attach, ...list]
      .filter(m => inDialect(m.type, dialect))
      .map((m, tag) =>
        pack({ tag, ...m, ...(m.type === 'Tflush' && { oldtag: tag - 1 }) } as unknown as Message, dialect),
      ),
  )
}
