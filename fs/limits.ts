/** Every bound in fs/, with the reason it is there. Bytes unless the name says otherwise. */

/** Largest message ever negotiated; also the cap Linux v9fs puts on TCP. */
export const MAX_MSIZE = 1024 * 1024
/** Offered when nobody asks for less: 128 KiB of payload and its header, as v9fs since 5.16. */
export const DEFAULT_MSIZE = 128 * 1024 + 24
/** Small clients (microcontrollers, old Styx programs) offer this little; a walk of 16 names and an error still fit. */
export const MIN_MSIZE = 512
/** How long a stat waits for a content to be made, for its length: what a listing of some such files may take, in ms. */
export const EXTENT_MS = 50
/** The same of a file that is open: another machine may have to be asked, and a wrong length cuts off what tar copies. */
export const OPEN_EXTENT_MS = 2_000
/** Before Tversion nothing longer can be meant; a longer size field is garbage or an attack. */
export const MAX_FIRST_MESSAGE = 8192
/** What read and write headers leave room for: clients clamp I/O at msize - 24. */
export const IOHDRSZ = 24
/** Names in one Twalk (walk(5)). */
export const MAXWELEM = 16
/** One path element, as in every Unix file system. */
export const MAX_NAME = 255
/** An error string on the wire; the full text is in the tree's `error` file. */
export const MAX_ENAME = 512
/** Fids one connection may hold: a shell script needs ten, a FUSE mount a few hundred. */
export const MAX_FIDS = 4096
/** And so many more for users who have few of them, where others have the rest. */
export const RESERVED_FIDS = 256
export const LITTLE_FIDS = 16
/** What a fid is counted with: its state, an open file and what a program's reads leave behind. */
export const FID_BYTES = 1024
/** What a connection is counted with besides its fids and messages: a socket of Node's and what the session has of it. */
export const CONNECTION_BYTES = 8 * 1024
/** And besides, where it is encrypted: of 1,000 WebSockets the process grew by 12 kB each without TLS, and by 45 kB each with it. */
export const TLS_BYTES = 36 * 1024
/** What a request that is not answered at once is counted with besides its message: what waits for its answer. */
export const REQUEST_BYTES = 2 * 1024
/** What an entry of a listing that a fid holds on to is counted with. */
export const ENTRY_BYTES = 128
/**
 * Requests one connection may have unanswered. Above it a request fails at once; reading goes on, because a Tflush must
 * always get through (not reading would leave a mount full of blocked readers unkillable).
 */
export const MAX_OUTSTANDING = 4096
/** Reply bytes waiting for a client that does not read them; above it we stop reading from that client. */
export const MAX_QUEUED = 4 * 1024 * 1024
/** How long such a client may stay that way before it is cut off, in ms. */
export const QUEUED_TIMEOUT_MS = 30_000
/** A message that has begun must be complete within this, in ms. */
export const FRAME_TIMEOUT_MS = 30_000
/** A new connection must say Tversion within this, in ms. */
export const VERSION_TIMEOUT_MS = 10_000
/** Where a token is wanted, it must be shown within this after Tversion, in ms. */
export const ATTACH_TIMEOUT_MS = 10_000
/** How long a flushed call may take to give up before its tag is freed without it, in ms. */
export const FLUSH_GRACE_MS = 1000
/** Entries in one directory listing that a fid holds on to. */
export const MAX_ENTRIES = 1_000_000
/** Bytes of one listing that a client takes: of an entry whose names are all as long as they can be there are not a million. */
export const MAX_LISTING = 256 * MAX_ENTRIES
/** How long a connection that is being closed may take to hand over its last bytes, in ms. */
export const CLOSE_TIMEOUT_MS = 5000
/** A client that has sent Tflush and hears nothing for this long takes the connection for dead, in ms. */
export const RFLUSH_TIMEOUT_MS = 10_000
/** Idle time after which the kernel probes a tcp peer, in ms. */
export const KEEPALIVE_MS = 60_000
/** Connections that all listeners of a process hold: ten thousand that idle, and some that work. */
export const MAX_CONNECTIONS = 10_240
/** File descriptors that connections leave for everything else: models, workers, the mount. */
export const RESERVED_DESCRIPTORS = 256
/** A file that is read whole into memory; a larger one is read in pieces. */
export const MAX_WHOLE = 64 * 1024 * 1024
/**
 * How long a program of ours waits for what waits for nothing: `status` and other control files, whole. Longer than the 15 s after which a
 * server gives up on a machine behind it, so that its own error, which names that, comes first. In ms.
 */
export const ANSWER_MS = 20_000
/** How long a WebSocket handshake may take, in ms. */
export const DIAL_TIMEOUT_MS = 10_000
/** One WebSocket message: a whole 9P message of the largest kind, and a peer that merges a little is borne with. */
export const MAX_WS_MESSAGE = MAX_MSIZE + 4096
/** A WebSocket is pinged this often, and given up if no pong has come by the next time, in ms. */
export const PING_MS = 25_000
