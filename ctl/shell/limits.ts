/** Bytes of one question: a command line, and what of the screen is looked at. */
export const MAX_QUESTION = 64 * 1024
/** How long a shell may take to say it, in ms: it writes it at once. */
export const QUESTION_MS = 2000
/** Shells that ask at the same time; more are hung up on. */
export const MAX_ASKING = 64
/** How long an answer to a failure may take, in ms: later nobody looks any more. */
export const FAILURE_MS = 10_000
/** How long one to a line that is being typed may take, in ms: zsh waits no longer either. */
export const TYPING_MS = 1000
/** How long a terminal may take to tell what is on it, in ms. */
export const SCREEN_MS = 500
/** Characters of a command's output that are looked through for secrets before it is cut. */
export const MAX_SEEN = 64 * 1024
/** Secrets of one question that are remembered for `shell sent`. */
export const MAX_REMOVED = 100
/** How much of a command's output is sent: its last lines, where errors are. */
export const MAX_LINES = 40
export const MAX_OUTPUT = 4000
/** Letters of a line that is sent, shown or suggested. */
export const MAX_COMMAND = 1000
export const MAX_CAUSE = 200
/** Bytes of a model's answer that are read: a few times what the two lines above can need. */
export const MAX_ANSWER = 8 * 1024
/** After how long without a question the agent ends, in s. */
export const IDLE_S = 600
/** How often it looks whether its socket is still there, in ms: a runtime directory goes when its user logs out. */
export const LOOK_MS = 5000
