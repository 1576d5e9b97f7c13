/** Every bound of the HTTP listener and of a mount, with the reason it is there. */

/** A request's head must be there within this, in ms: a client that trickles holds a socket no longer. */
export const HEADERS_TIMEOUT_MS = 5_000
/** How often that is looked at, in ms. */
export const TIMEOUT_CHECK_MS = 1_000
/** A TLS handshake must be done within this, in ms. */
export const TLS_TIMEOUT_MS = 5_000
/** Bytes of a request's head: a token, a few headers, a proxy's cookies. */
export const MAX_HEAD = 16 * 1024
/** Sockets of one peer address that have not shown a token yet: enough for any program, too few to fill the table with. */
export const MAX_UNPROVEN = 64
/** And of all addresses together: beyond it the oldest goes. With TLS each takes some 60 KiB. */
export const MAX_UNPROVEN_IN_ALL = 512
/** A wrong token is answered after this, in ms. */
export const REFUSAL_DELAY_MS = 1_000
/** A refused peer that does not hang up is hung up on after this, in ms. */
export const LINGER_MS = 1_000
/**
 * Files that the users of a shared mount have open together: of the 4,096 fids of its connection, 1,024 are kept for names, and the
 * rest is for the owner, for root and for requests under way.
 */
export const MAX_OPEN = 2048
/** Files that a user may have open where others have taken their shares, times as many users. */
export const MAX_LITTLE_OPEN = 16
