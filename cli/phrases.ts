/** The words of messages that several commands share. */

/** No server of this user runs. */
export const NOT_RUNNING = 'your server is not running'

/** The remedy where a shell has split a value at its spaces. */
export const QUOTE_SPACES = 'quote values with spaces'

/** A server that stops waits for answers. @param s how long it waits at most, in seconds */
export const waitingFor = (answers: number, s: number): string =>
  `waiting up to ${s} s for ${answers} ${answers === 1 ? 'answer' : 'answers'} to finish`
