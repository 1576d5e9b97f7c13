/** Every bound on what an upstream says and takes, with the reason it is there. Times in ms, sizes in bytes unless the name says otherwise. */

/** How long a request may bring nothing at all, unless `engine.timeout` says otherwise: a long prompt is evaluated in silence. */
export const SILENCE_MS = 120_000
/** How long a request may live on keep-alive comments and empty events: a server that loads a large model sends nothing else. */
export const BARREN_MS = 600_000
/** How long a connection may take to come about. */
export const CONNECT_MS = 10_000
/** How long the list of models may take. */
export const CHECK_MS = 10_000
/** How often the reader of an answer hears that something arrives which is no text. */
export const ALIVE_MS = 5_000

/** A response's header: Node's own default, which no honest server comes near. */
export const MAX_HEADER = 16 * 1024
/** One event's data, and so the longest line, in characters: a token with its frame takes a few hundred. */
export const MAX_EVENT = 1024 * 1024
/** One streamed body: 16 MiB of text in frames of some hundred bytes a token, with reasoning as long. */
export const MAX_BODY = 1024 * 1024 * 1024
/** Events of one answer: as many as a request may ask for tokens, and as many of reasoning. */
export const MAX_EVENTS = 2 * 1024 * 1024
/** Events that are no JSON object and are skipped, in one answer: some servers say `ping`. */
export const MAX_SKIPPED = 1_000
/** A reply that is not a stream: vectors of a few hundred texts, or a whole answer. */
export const MAX_REPLY = 64 * 1024 * 1024
/** An error's body, and the list of models. */
export const MAX_ERROR = 8 * 1024
export const MAX_LIST = 8 * 1024 * 1024
/** Models of such a list that are looked at. */
export const MAX_MODELS = 20_000
/** Characters of a server's words that are passed on. */
export const MAX_SAID = 300

/** Reasoning that is kept, in characters, for an answer that turns out to have no other text. */
export const MAX_REASONING = 1024 * 1024
/** Tool calls of one answer, the characters of a name, and of all arguments together. */
export const MAX_CALLS = 128
export const MAX_CALL_NAME = 256
export const MAX_ARGUMENTS = 1024 * 1024
/** Choices of one event, and parts of a content, that are looked at: one is asked for. */
export const MAX_CHOICES = 16
export const MAX_PARTS = 1_000
/** Parameters that are left out because the server does not take them, one after another. */
export const MAX_LESSONS = 8
/** The longest pause that a server may ask for, in s. */
export const MOST_PAUSE_S = 24 * 3600
