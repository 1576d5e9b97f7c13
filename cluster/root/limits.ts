/** Every bound of a root's files, a worker's and a cluster's alike, with the reason it is there. */

/** Bytes of a prompt written to a `data` (namespace.md). */
export const MAX_PROMPT = 1024 * 1024
/** Bytes of one JSON request: a prompt, its escapes, a history and the ids of a long answer. */
export const MAX_REQUEST = 16 * 1024 * 1024
/** Bytes of one answer: more than any context makes; a remote engine that never stops must not fill the memory. */
export const MAX_ANSWER = 16 * 1024 * 1024
/** Requests that wait for a slot: beyond this a prompt is refused, with the time to come again. */
export const MAX_QUEUE = 512
/** Bytes of prompts that wait, all together. */
export const MAX_QUEUE_BYTES = 256 * 1024 * 1024
/** Ended tasks are kept for looking at: this many, this long. */
export const KEPT_TASKS = 1000
export const KEPT_TASK_MS = 10 * 60_000
/** And this many bytes of prompts and answers in memory: a thousand of the longest would be more than a machine has. */
export const KEPT_TASK_BYTES = 256 * 1024 * 1024
/** Bytes of answers, streams and transcripts that may be on the disk: a thousand tasks of 4 MB. */
export const MAX_SPILL = 4 * 1024 * 1024 * 1024
/** And this part of what is free there when the server starts: others need that disk, too, and so do our own sessions. */
export const SPILL_SHARE = 1 / 10
/** Once that is reached, nothing more goes there until this part of it is in use: one removed answer does not begin it again. */
export const SPILL_AGAIN = 7 / 8
/** Reads of these files at once: each takes a descriptor, and readers may be 10,000. */
export const SPILL_READS = 32
/** How long a read may take with its waiting for others, in ms: a disk that no longer answers must not keep its readers for ever. */
export const SPILL_READ_MS = 30_000
/** Bytes of memory from which an ended task is forgotten before smaller ones: what two logs of one block each take, which stay in memory. */
export const LARGE_TASK = 128 * 1024
/** What a task is counted with besides its texts: its files, its record, the beginnings of its logs. */
export const TASK_BYTES = 8 * 1024
/** How many times a request is there while it waits and runs: as it was parsed, as the JSON that its worker gets, and as bytes on their way. */
export const COPIES = 3
/** What a session is counted with besides its texts: its files and settings. */
export const SESSION_BYTES = 16 * 1024
/** What a message of a history is counted with besides its text: an empty one is not free. */
export const TURN_BYTES = 160
/** Sessions alive at once: each holds its history. */
export const MAX_SESSIONS = 10_000
/** The last of them are for users who have few: nobody keeps the others out. */
export const RESERVED_SESSIONS = 1_000
export const FEW_SESSIONS = 100
/** Bytes of one session's history or system prompt. */
export const MAX_HISTORY = 16 * 1024 * 1024
/** How long a session lives with none of its files open, in s, unless its `ttl` says otherwise. */
export const SESSION_TTL_S = 600
/**
 * How long a session lives, in s, when its `clone` was read and closed and nothing was said in it: long enough to read its number in
 * one command and use it in the next, and no more, since a program that reads all it finds makes one each time.
 */
export const UNUSED_TTL_S = 60
/** What programs keep beside the files of one session while they change them (sed -i, vim): so many files, so many bytes in all. */
export const MAX_SCRATCH_FILES = 8
export const MAX_SCRATCH = 1024 * 1024
/** Users whose newest exchange and last error are remembered. */
export const MAX_USERS = 1000
/** Texts in one `embed` request. */
export const MAX_TEXTS = 512
/** Lists and objects of a request inside one another: a schema of 64 levels has some 200, and what is deeper overflows a stack somewhere. */
export const MAX_JSON_DEPTH = 256
