/** Every bound of a worker, with the reason it is there. */

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
/** And this many bytes of prompts and answers: a thousand of the longest would be more than a machine has. */
export const KEPT_TASK_BYTES = 256 * 1024 * 1024
/** Sessions alive at once: each holds its history. */
export const MAX_SESSIONS = 10_000
/** Bytes of one session's history or system prompt. */
export const MAX_HISTORY = 16 * 1024 * 1024
/** How long a session lives with none of its files open, in s, unless its `ttl` says otherwise. */
export const SESSION_TTL_S = 600
/** Users whose newest exchange and last error are remembered. */
export const MAX_USERS = 1000
/** Texts in one `embed` request. */
export const MAX_TEXTS = 512
/** How long a model may take to load, in ms: a 100 GB file from a slow disk. */
export const LOAD_TIMEOUT_MS = 30 * 60_000

// Model files. Bytes unless the name says otherwise.

const KiB = 1024
const MiB = 1024 * KiB

/** A GGUF header: the largest vocabularies (262,144 tokens and their merges) need about 12 MiB. */
export const MAX_HEADER = 64 * MiB
/** How much of a header is in memory at a time. */
export const HEADER_WINDOW = 256 * KiB
/** How long a header may take to read, in ms: a file on a good disk takes a few. */
export const HEADER_TIMEOUT_MS = 5_000
/** Keys, and tensors, of one file: the largest models have some thousands. */
export const MAX_ITEMS = 65_536
/** One key; they are dotted words. */
export const MAX_KEY = 64 * KiB
/** All keys of a file together: they are held while it is read, to find doubles. */
export const MAX_KEYS = 1 * MiB
/** A tensor's name, as in ggml (GGML_MAX_NAME with its NUL). */
export const MAX_TENSOR_NAME = 63
/** Elements of one array, 16 times the largest vocabulary: other readers make an object of each. */
export const MAX_ARRAY = 4 * MiB
/** `general.alignment`: a page is usual, a MiB is generous. */
export const MAX_ALIGNMENT = 1 * MiB
/** The parts of one split model. */
export const MAX_PARTS = 1_000

/** Uploads at once in one store: each is a file that may grow to the size of the disk. */
export const MAX_UPLOADS = 8
/** An upload this old, in ms, whose process cannot be asked (another machine's on a shared disk) was left behind. */
export const STALE_UPLOAD_MS = 24 * 3600 * 1000
/** Files of one store that are shown. */
export const MAX_MODELS = 10_000
/** Read at a time to make a digest: about half a millisecond of the event loop. */
export const DIGEST_CHUNK = 512 * KiB
