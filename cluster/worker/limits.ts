/** Every bound of a worker, with the reason it is there. Those of the files it shares with a cluster are in root/limits.ts. */

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
/** How long a list of them may keep a status waiting, in ms: less than a heartbeat. */
export const LIST_MS = 1_000
/** Read at a time to make a digest: about half a millisecond of the event loop. */
export const DIGEST_CHUNK = 512 * KiB

/**
 * How much longer than the engine itself a cluster waits for an answer that a server elsewhere makes, in ms: the engine knows why it gives
 * one up.
 */
export const PATIENCE_MS = 15_000

/**
 * What was told to stop and runs on for so long, in ms, and for each character of its prompt, holds a slot that only the end of the
 * process gives back: an engine hears it between two tokens, or behind a prefill.
 */
export const STUCK_MS = 30_000
export const STUCK_PER_CHARACTER_MS = 2.5
