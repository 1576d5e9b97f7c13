/**
 * Every bound of a worker, with the reason for it. The bounds of the files that it shares with a cluster are in
 * root/limits.ts.
 */

/** Longest time that a model may take to load, in ms: a 100 GB file from a slow disk. */
export const LOAD_TIMEOUT_MS = 30 * 60_000

// Model files. Bytes unless the name says otherwise.

const KiB = 1024
const MiB = 1024 * KiB

/** Most bytes of a GGUF header: the largest vocabularies (262,144 tokens and their merges) need about 12 MiB. */
export const MAX_HEADER = 64 * MiB
/** How much of a header is in memory at a time. */
export const HEADER_WINDOW = 256 * KiB
/** Longest time to read a header, in ms. A file on a good disk takes a few. */
export const HEADER_TIMEOUT_MS = 5_000
/** Most keys, and most tensors, of one file: the largest models have some thousands. */
export const MAX_ITEMS = 65_536
/** Most bytes of one key. Keys are dotted words. */
export const MAX_KEY = 64 * KiB
/** Most bytes of all keys of a file together: they are kept while the file is read, to find duplicates. */
export const MAX_KEYS = 1 * MiB
/** Most bytes of a tensor's name, as in ggml (GGML_MAX_NAME with its NUL). */
export const MAX_TENSOR_NAME = 63
/** Most elements of one array: 16 times the largest vocabulary. Other readers make an object of each element. */
export const MAX_ARRAY = 4 * MiB
/** Largest `general.alignment`: a page is usual, a MiB is generous. */
export const MAX_ALIGNMENT = 1 * MiB
/** Most parts of one split model. */
export const MAX_PARTS = 1_000

/** Most simultaneous uploads to one store: each is a file that may grow to the size of the disk. */
export const MAX_UPLOADS = 8
/**
 * An upload older than this, in ms, is considered abandoned if its process cannot be checked, because it runs on
 * another machine that shares the disk.
 */
export const STALE_UPLOAD_MS = 24 * 3600 * 1000
/** Most files of one store that are listed. */
export const MAX_MODELS = 10_000
/** Longest time that listing the models may delay a status, in ms: less than a heartbeat. */
export const LIST_MS = 1_000
/** Bytes read at a time to compute a digest: about half a millisecond of the event loop. */
export const DIGEST_CHUNK = 512 * KiB

/**
 * How much longer a cluster waits than the engine itself, in ms, for an answer that a remote server makes: only the
 * engine knows why it gave an answer up.
 */
export const PATIENCE_MS = 15_000

/**
 * An answer that was told to stop, and still runs after this time in ms and the time below per character of its prompt,
 * holds a slot that only ending the process frees. An engine notices a stop between two tokens, or after a prefill.
 */
export const STUCK_MS = 30_000
export const STUCK_PER_CHARACTER_MS = 2.5
