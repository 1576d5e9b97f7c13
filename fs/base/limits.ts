/** Every bound in fs/, with its reason. In bytes unless the comment or the name says otherwise. */

/** The largest message ever negotiated; Linux v9fs caps msize over TCP at the same value. */
export const MAX_MSIZE = 1024 * 1024
/** The msize that a client offers by default: 128 KiB of payload and its header, as v9fs does since 5.16. */
export const DEFAULT_MSIZE = 128 * 1024 + 24
/**
 * The smallest msize a server accepts. Small clients (microcontrollers, old Styx programs) offer this little; a walk of
 * 16 names and an error still fit.
 */
export const MIN_MSIZE = 512
/**
 * How long a stat waits for generated content, to report its length, in ms: what a listing of several such files may
 * take.
 */
export const EXTENT_MS = 50
/**
 * The same for a file that is open, in ms. Another machine may have to be asked, and a wrong length makes tar cut off
 * what it copies.
 */
export const OPEN_EXTENT_MS = 2_000
/** The largest message before Tversion; a larger size field is garbage or an attack. */
export const MAX_FIRST_MESSAGE = 8192
/** The room that the headers of reads and writes need: clients limit I/O to msize - 24. */
export const IOHDRSZ = 24
/** The most names in one Twalk (walk(5)). */
export const MAXWELEM = 16
/** The longest path element, as in every Unix file system. */
export const MAX_NAME = 255
/** The longest error string on the wire; the full text is in the tree's `error` file. */
export const MAX_ENAME = 512
/** The most fids of one connection: a shell script needs ten, a FUSE mount a few hundred. */
export const MAX_FIDS = 4096
/** Additional fids for users who hold fewer than LITTLE_FIDS, when other users hold all MAX_FIDS. */
export const RESERVED_FIDS = 256
export const LITTLE_FIDS = 16
/** Memory counted for a fid: its state, an open file and what a program's reads leave behind. */
export const FID_BYTES = 1024
/** Memory counted for a connection besides its fids and messages: Node's socket and the session's state. */
export const CONNECTION_BYTES = 8 * 1024
/**
 * Additional memory counted for an encrypted connection. Measured with 1,000 WebSockets: the process grew by 12 kB for
 * each without TLS and by 45 kB for each with it.
 */
export const TLS_BYTES = 36 * 1024
/** Memory counted for a request that waits, besides its message: the promises and closures that wait for its answer. */
export const REQUEST_BYTES = 2 * 1024
/** Memory counted for each entry of a listing that a fid keeps. */
export const ENTRY_BYTES = 128
/**
 * The most unanswered requests of one connection. A request beyond that fails at once. The server keeps reading,
 * because a Tflush must always get through: otherwise a mount full of blocked readers could not be killed.
 */
export const MAX_OUTSTANDING = 4096
/** The most reply bytes that wait for a client to read them; above it the server stops reading from that client. */
export const MAX_QUEUED = 4 * 1024 * 1024
/** How long a client may stay above MAX_QUEUED before it is disconnected, in ms. */
export const QUEUED_TIMEOUT_MS = 30_000
/** How long an incomplete message may take to arrive whole, in ms. */
export const FRAME_TIMEOUT_MS = 30_000
/** How long a new connection may take to send Tversion, in ms. */
export const VERSION_TIMEOUT_MS = 10_000
/** Where a token is required: how long after Tversion a client may take to present one, in ms. */
export const ATTACH_TIMEOUT_MS = 10_000
/** How long a flushed call may take to give up before its tag is freed without it, in ms. */
export const FLUSH_GRACE_MS = 1000
/** The most entries of a directory listing that a fid keeps. */
export const MAX_ENTRIES = 1_000_000
/**
 * The largest listing that a client accepts. Each string of an entry may be up to 64 KiB long, so MAX_ENTRIES alone
 * does not bound the memory.
 */
export const MAX_LISTING = 256 * MAX_ENTRIES
/** The most users of one connection whose attaches are kept. */
export const MAX_ATTACHES = 1000
/** The most Twrites of one write, and walks of one listing with all attributes, that a client has in flight at once. */
export const WINDOW = 8
/** How long a connection that is closing may take to deliver its last bytes, in ms. */
export const CLOSE_TIMEOUT_MS = 5000
/** How long a client waits for an Rflush before it takes the connection for dead, in ms. */
export const RFLUSH_TIMEOUT_MS = 10_000
/** Idle time after which the kernel probes a TCP peer, in ms. */
export const KEEPALIVE_MS = 60_000
/** The most connections that all listeners of a process hold together: ten thousand idle ones, and some that work. */
export const MAX_CONNECTIONS = 10_240
/** File descriptors that connections must leave for everything else: models, workers, the mount. */
export const RESERVED_DESCRIPTORS = 256
/** The largest file that is read whole into memory; a larger one is read in pieces. */
export const MAX_WHOLE = 64 * 1024 * 1024
/**
 * How long llambo's own programs wait for a file that answers at once, such as `status` and the other control files,
 * until it has been read whole, in ms. Longer than the 15 s after which a server gives up on a machine behind it, so
 * that the server's error, which names that machine, arrives first.
 */
export const ANSWER_MS = 20_000
/** How long a WebSocket handshake may take, in ms. */
export const DIAL_TIMEOUT_MS = 10_000
/** The largest WebSocket message: a 9P message of the largest size, and slack for peers that coalesce messages. */
export const MAX_WS_MESSAGE = MAX_MSIZE + 4096
/** How often a WebSocket is pinged, in ms. It is closed if no pong has arrived by the next ping. */
export const PING_MS = 25_000
