/** Every bound of a root's files, for workers and clusters alike, with the reason for it. */

/** Most bytes of a prompt written to a `data` file (docs/files.md). */
export const MAX_PROMPT = 1024 * 1024
/** Most bytes of one JSON request: a prompt, its escapes, a history and the ids of a long answer. */
export const MAX_REQUEST = 16 * 1024 * 1024
/** Most bytes of one answer. No context makes more; a remote engine that never stops must not fill the memory. */
export { MAX_ANSWER } from '../../api/answer.js'
/** Most requests that wait for a slot. Beyond this a prompt is refused, with the time after which to retry. */
export const MAX_QUEUE = 512
/** Most bytes of waiting prompts, all together. */
export const MAX_QUEUE_BYTES = 256 * 1024 * 1024
/** Ended tasks are kept to be looked at: at most this many, for this long. */
export const KEPT_TASKS = 1000
export const KEPT_TASK_MS = 10 * 60_000
/**
 * Most bytes in memory of the prompts and answers of ended tasks: a thousand of the longest would be more than a
 * machine has.
 */
export const KEPT_TASK_BYTES = 256 * 1024 * 1024
/** Most bytes of answers, streams and transcripts on the disk: a thousand tasks of 4 MB. */
export const MAX_SPILL = 4 * 1024 * 1024 * 1024
/**
 * Most of the space that is free on the disk when the server starts: other programs need that disk too, and so do saved
 * sessions.
 */
export const SPILL_SHARE = 1 / 10
/**
 * Once that limit is reached, nothing more is written there until use has fallen to this part of it. Otherwise one
 * removed answer would start it again.
 */
export const SPILL_AGAIN = 7 / 8
/** Most simultaneous reads of these files: each takes a descriptor, and there may be 10,000 readers. */
export const SPILL_READS = 32
/**
 * Longest time that a read may take, in ms, waiting for other reads included. A disk that no longer answers must not
 * block its readers for ever.
 */
export const SPILL_READ_MS = 30_000
/**
 * An ended task that holds at least this many bytes of memory is forgotten before smaller ones. Two logs of one block
 * each, which stay in memory, take that much.
 */
export const LARGE_TASK = 128 * 1024
/** What a task counts besides its texts: its files, its record, the beginnings of its logs. */
export const TASK_BYTES = 8 * 1024
/**
 * A request counts this many times while it waits and runs: as parsed, as the JSON for its worker, and as bytes being
 * sent.
 */
export const COPIES = 3
/** What a session counts besides its texts: its files and settings. */
export const SESSION_BYTES = 16 * 1024
/** What a message of a history counts besides its text: an empty message is not free. */
export const TURN_BYTES = 160
/** Most sessions alive at once: each holds its history. */
export const MAX_SESSIONS = 10_000
/** The last of them are for users that have few, so that nobody can keep the others out. */
export const RESERVED_SESSIONS = 1_000
export const FEW_SESSIONS = 100
/** Most bytes of one session's history or system prompt. */
export const MAX_HISTORY = 16 * 1024 * 1024
/** How long a session lives while none of its files is open, in seconds, unless its `ttl` says otherwise. */
export const SESSION_TTL_S = 600
/**
 * How long a session lives, in seconds, after its `clone` was read and closed and the session was not used. That is
 * long enough to read its number in one command and use it in the next; not longer, because a program that reads every
 * file it finds makes a session each time.
 */
export const UNUSED_TTL_S = 60
/**
 * Most files, and most bytes in all, that programs may keep beside the files of one session while they change them (sed
 * -i, vim).
 */
export const MAX_SCRATCH_FILES = 8
export const MAX_SCRATCH = 1024 * 1024
/** Most users whose newest exchange and last error are remembered. */
export const MAX_USERS = 1000
