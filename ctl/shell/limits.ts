/** The sentinel's bounds. */

/** The longest question, in bytes: a command line, and where its output can be looked up. */
export const MAX_QUESTION = 64 * 1024
/** How long a shell may take to send its question, in ms: a shell writes it at once. */
export const QUESTION_MS = 2000
/** How many shells may ask at the same time. Further connections are closed. */
export const MAX_ASKING = 64
/** How long the answer to a failure may take, in ms: later, nobody is looking any more. */
export const FAILURE_MS = 10_000
/** How long the answer to a line that is being typed may take, in ms: zsh does not wait longer either. */
export const TYPING_MS = 1000
/** How long a terminal may take to return its content, in ms. */
export const SCREEN_MS = 500
/** How many characters of a command's output are searched for secrets before it is cut. */
export const MAX_SEEN = 64 * 1024
/** How many secrets of one question are kept for `shell sent`. */
export const MAX_REMOVED = 100
/** How many lines and characters of a command's output are sent: its end, where errors are. */
export const MAX_LINES = 40
export const MAX_OUTPUT = 4000
/** The longest command and the longest cause that are sent, shown or suggested, in letters. */
export const MAX_COMMAND = 1000
export const MAX_CAUSE = 200
/** How many bytes of a model's answer are read: a few times what a command and a cause can need. */
export const MAX_ANSWER = 8 * 1024
/** The agent ends after this many seconds without a question. */
export const IDLE_S = 600
/**
 * How often the agent checks that its socket is still there, in ms: a runtime directory is removed when its user logs
 * out.
 */
export const LOOK_MS = 5000
