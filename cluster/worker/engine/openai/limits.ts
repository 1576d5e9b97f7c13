/**
 * Every bound on what an upstream sends and how long it takes, with the reason for it. Times are in ms, sizes in bytes,
 * unless the name says otherwise.
 */

/**
 * How long a request may produce nothing at all, unless `engine.timeout` says otherwise: a long prompt is evaluated in
 * silence.
 */
export const SILENCE_MS = 120_000
/**
 * How long a request may live on keep-alive comments and empty events: a server that loads a large model sends nothing
 * else.
 */
export const BARREN_MS = 600_000
/** Longest time to establish a connection. */
export const CONNECT_MS = 10_000
/** Longest time for the list of models. */
export const CHECK_MS = 10_000
/** How often an answer reports that the server sends something other than text. */
export const ALIVE_MS = 5_000

/** Size of a response's header: Node's default, which no honest server comes near. */
export const MAX_HEADER = 16 * 1024
/** Size of one event's data, and so of the longest line, in characters: a token with its frame takes a few hundred. */
export const MAX_EVENT = 1024 * 1024
/**
 * Size of one streamed body: 16 MiB of text in frames of some hundred bytes per token, with reasoning of the same
 * length.
 */
export const MAX_BODY = 1024 * 1024 * 1024
/** Events of one answer: as many as a request may ask for tokens, and as many of reasoning. */
export const MAX_EVENTS = 2 * 1024 * 1024
/** Events of one answer that are not a JSON object and are skipped: some servers send `ping`. */
export const MAX_SKIPPED = 1_000
/** Size of a reply that is not a stream: vectors of a few hundred texts, or a whole answer. */
export const MAX_REPLY = 64 * 1024 * 1024
/** Size of an error's body, and of the list of models. */
export const MAX_ERROR = 8 * 1024
export const MAX_LIST = 8 * 1024 * 1024
/** Models of such a list that are examined. */
export const MAX_MODELS = 20_000
/** Characters of a server's message that are passed on. */
export const MAX_SAID = 300

/** Characters of reasoning that are kept, for an answer that turns out to have no other text. */
export const MAX_REASONING = 1024 * 1024
/** Tool calls of one answer, characters of a name, and characters of all arguments together. */
export const MAX_CALLS = 128
export const MAX_CALL_NAME = 256
export const MAX_ARGUMENTS = 1024 * 1024
/** Choices of one event, and parts of a content, that are examined: only one choice is requested. */
export const MAX_CHOICES = 16
export const MAX_PARTS = 1_000
/** How many parameters may be left out, one after another, because the server does not accept them. */
export const MAX_LESSONS = 8
/** The longest pause that a server may ask for, in seconds. */
export const MOST_PAUSE_S = 24 * 3600
