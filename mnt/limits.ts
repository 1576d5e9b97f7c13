/** Every bound of the HTTP listener and of a mount, with its reason. */

/**
 * Time within which a request's head must have arrived, in ms: a client that sends it slowly does not hold a socket for
 * longer.
 */
export const HEADERS_TIMEOUT_MS = 5_000
/** How often HEADERS_TIMEOUT_MS is checked, in ms. */
export const TIMEOUT_CHECK_MS = 1_000
/** Time within which a TLS handshake must be complete, in ms. */
export const TLS_TIMEOUT_MS = 5_000
/** Bytes of a request's head: room for a token, a few headers, a proxy's cookies. */
export const MAX_HEAD = 16 * 1024
/**
 * Sockets of one peer address that have not shown a token yet: enough for any program, too few to fill the descriptor
 * table.
 */
export const MAX_UNPROVEN = 64
/** Such sockets of all addresses together; one more closes the oldest. With TLS each takes some 60 KiB. */
export const MAX_UNPROVEN_IN_ALL = 512
/** Delay before a wrong token is answered, in ms. */
export const REFUSAL_DELAY_MS = 1_000
/** Time after which the connection of a refused peer that does not hang up is closed, in ms. */
export const LINGER_MS = 1_000
/**
 * Files that the users of a shared mount may have open together. Of the 4,096 fids of its connection, 1,024 are kept
 * for names; the rest is for the owner, for root and for requests in progress.
 */
export const MAX_OPEN = 2048
/**
 * Files that a user may have open even when others hold nearly all of MAX_OPEN. There is room for as many such users:
 * this number squared may be open beyond MAX_OPEN.
 */
export const MAX_LITTLE_OPEN = 16
