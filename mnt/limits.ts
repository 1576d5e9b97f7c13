/** Every bound of the HTTP listener, with the reason it is there. */

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
/** A wrong token is answered after this, in ms. */
export const REFUSAL_DELAY_MS = 1_000
/** A refused peer that does not hang up is hung up on after this, in ms. */
export const LINGER_MS = 1_000
