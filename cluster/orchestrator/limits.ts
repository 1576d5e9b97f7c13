/** Every bound of an orchestrator, with the reason it is there. Times in ms unless the name says otherwise. */

/** Who has joined must have said what it is within this: a status is read in one or two round trips. */
export const GREETING_MS = 10_000
/** Heartbeats that may stay unanswered before a worker gets no new work, and before it is given up. */
export const SUSPECT_AFTER = 2
export const DEAD_AFTER = 5
/** Heartbeats that a ring of clusters may last before each of them ends it: the one that should has had its time by then. */
export const RING_LOOKS = 4
/** A probe prompt must be answered within this: a large model's first prefill on a slow machine. */
export const PROBE_MS = 60_000
/** Answers that break off one after another before a worker is set aside. */
export const FAILURES = 3
/** Comings back within a minute before a worker is set aside. */
export const FLAPS = 3
export const FLAP_WINDOW_MS = 60_000
/** How long a worker is set aside, times how often it was, and at most. */
export const ASIDE_MS = 30_000
export const MOST_ASIDE_MS = 300_000
/** Without a token for this long a worker is taken for hung. */
export const TOKEN_SILENCE_MS = 30_000
/** The same before the first token, and how much of it a prompt adds for each of its characters (a hundredth of a second a token). */
export const PREFILL_SILENCE_MS = 10_000
export const PREFILL_SILENCE_PER_CHARACTER_MS = 2.5
/** How often that is looked at. */
export const WATCH_MS = 1_000
/** How long an exchange outlives, on its worker, the orchestrator it is for, in s. */
export const KEEP_S = 60
/** Attempts at once that follow a broken one: these, or a fifth of what runs. The others wait, so that a failing cluster is not beaten down. */
export const RETRIES = 10
export const RETRY_SHARE = 0.2
/** How long a task waits before the worker that failed it is tried again, times two for each try, and at most; half of it is drawn at random. */
export const BACKOFF_MS = 1_000
export const MOST_BACKOFF_MS = 15_000
/** The longest pause that a worker may ask for: after it one request finds out whether it still wants it. */
export const MOST_PAUSE_MS = 60_000
/** How often one task is tried where each try ended in such a pause. */
export const PAUSES = 4
/** Checks of a server elsewhere that fail: how long to the next, times two for each, and at most. */
export const CHECK_MS = 3_000
export const MOST_CHECK_MS = 30_000
/** How long prompts wait for a first worker: in a cluster that never had one, and where some may dial again after a restart or a cut. */
export const FIRST_WORKER_MS = 3_000
export const NEXT_WORKER_MS = 30_000
/** How long a content that has ended two workers is refused. */
export const POISON_MS = 600_000
/** Such contents that are remembered. */
export const MAX_POISONS = 1_000
/** How long it is known which exchanges a dead worker had, until its host says what it died of. */
export const OBITUARY_MS = 60_000
/** Workers of which it is known what ended them last: as many as there may be members. */
export const MAX_ENDS = 10_000
/** Characters of that: each stands in the record of its worker, and ten thousand of them fit into one status (api/report.ts). */
export const MAX_ENDED = 100
/** Users attached on one worker's connection: each is a fid there. */
export const MAX_ATTACHED = 1_000
/** Exchanges at once on one connection, on which a cluster may offer more: each is one of its 4,096 fids, as are the users above. */
export const MAX_ATTEMPTS = 3_000
/** Names that are kept for workers that are gone: who comes back is called as before. */
export const MAX_NAMES = 100_000
/** Workers whose model is remembered: as many as one host may start, ten times. Each is a line of `ctl`. */
export const MAX_WANTED = 10_000
/** How long it is waited between two pieces of a peer's events, of 64 KiB: who floods them costs some percent of a processor. */
export const EVENTS_PAUSE_MS = 20
/** How long a worker may take with a load that it is given: it gives up one after 30 minutes, and may be in another when it is given this. */
export const LOAD_MS = 61 * 60_000
/** How long it is waited between two looks at a worker whose events say that it has loaded something. */
export const LOOK_PAUSE_MS = 250
/**
 * How long a connection from an address is closed unheard after a joiner from there was refused, doubled each time, and at most: one that
 * tries again and again costs a status a minute. Others of that address wait as well, so it is no longer.
 */
export const REFUSED_PAUSE_MS = 1_000
export const MOST_REFUSED_PAUSE_MS = 60_000
/** How long after the end of that a further refusal still counts as one more. */
export const REFUSED_MS = 600_000
/** Addresses of which that is known: a record each of some 100 bytes. */
export const MAX_REFUSED = 10_000
/** Refusals that the log names in one minute: the log of a day has 15,000 of them at most, of some 300 bytes. */
export const MAX_TOLD = 10
export const TOLD_WINDOW_MS = 60_000
/** Characters of a reason that a joiner and the log are given. */
export const MAX_REASON = 300
/** Joiners of one address that are asked at once who they are: each holds a status of up to 4 MiB meanwhile. The others wait for their turn. */
export const MAX_MEETING = 16
/** Members: ten times as many as are planned for. Each is two files and some KiB. */
export const MAX_MEMBERS = 10_000
/** Hosts: a machine each. */
export const MAX_HOSTS = 1_000
/** Joiners that are known by their secret: those that were there last. A record has some 150 bytes, and all are in one file. */
export const MAX_IDENTITIES = 20_000
/** How long a joiner is known that does not come back: as long as somebody may leave a machine switched off. */
export const IDENTITY_MS = 30 * 86_400_000
/** How long the name of one that is gone is kept for it: a worker on another machine lives as long without its cluster. */
export const NAME_GRACE_MS = 600_000
/** How long a worker that is to be shut down may finish what it is doing before that is moved elsewhere. */
export const DRAIN_MS = 25_000
/** How long the end of a cluster waits until its workers have heard of it. */
export const CLOSE_MS = 1_000
