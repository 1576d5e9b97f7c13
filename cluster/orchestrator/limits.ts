/**
 * The limits of an orchestrator, each with the reason for its value. Times are in ms unless the name says otherwise.
 */

/** How long a joining peer has for its first answers: its status takes one or two round trips to read. */
export const GREETING_MS = 10_000
/**
 * Unanswered heartbeats in a row after which a worker gets no new work, and after which it is removed from the cluster.
 */
export const SUSPECT_AFTER = 2
export const DEAD_AFTER = 5
/**
 * Heartbeats after which any cluster of a ring breaks it: by then the one with the least id, which should, has had its
 * time.
 */
export const RING_HEARTBEATS = 4
/** How long a worker has to answer a probe prompt: enough for the first prefill of a large model on a slow machine. */
export const PROBE_MS = 60_000
/** Answers that break off in a row before a worker is quarantined. */
export const FAILURES = 3
/** Times a worker may join within this window; one more and it is quarantined. */
export const FLAPS = 3
export const FLAP_WINDOW_MS = 60_000
/** How long a quarantine lasts: this, times the number of quarantines in a row, up to the second value. */
export const ASIDE_MS = 30_000
export const MOST_ASIDE_MS = 300_000
/** A worker that gives no token for this long is considered hung. */
export const TOKEN_SILENCE_MS = 30_000
/** The same before the first token, and how much longer for each character of the prompt (10 ms a token). */
export const PREFILL_SILENCE_MS = 10_000
export const PREFILL_SILENCE_PER_CHARACTER_MS = 2.5
/**
 * A worker whose every answer has been silent for this long, and for this many times as long as its pace so far, stands
 * still: its answers move to other workers. A load that slows a worker tenfold from one token to the next does not
 * make it so.
 */
export const STILL_MS = 3_000
export const STILL_FACTOR = 20
/** How often the orchestrator checks for silent workers, and for queued prompts that nothing will answer. */
export const WATCH_MS = 1_000
/** How long, in s, a worker keeps an exchange after the orchestrator that gave it is gone. */
export const KEEP_S = 60
/**
 * Retries that may run at once: this many, or this share of all running tasks. The others wait, so that they do not
 * overload a failing cluster.
 */
export const RETRIES = 10
export const RETRY_SHARE = 0.2
/** How long a task waits before it retries the worker that failed it. */
export const RETRY_PAUSES = { first_ms: 1_000, longest_ms: 15_000, least: 0.5 }
/**
 * The longest pause that a worker may ask for. After it a request finds out whether the worker still wants the pause.
 */
export const MOST_PAUSE_MS = 60_000
/** Attempts of one task that may end in such a pause. */
export const PAUSES = 4
/**
 * How long after a failed check of an upstream the next check follows: doubled with each failure, up to the second
 * value.
 */
export const CHECK_MS = 3_000
export const MOST_CHECK_MS = 30_000
/**
 * How long prompts wait while there is no worker: in a cluster that has never had one, and in one whose workers may
 * reconnect after a restart or a network failure.
 */
export const FIRST_WORKER_MS = 3_000
export const NEXT_WORKER_MS = 30_000
/** How long a prompt that has crashed two workers is refused. */
export const POISON_MS = 600_000
/** How many such prompts are remembered, and how many models whose load has crashed a worker. */
export const MAX_POISONS = 1_000
/** How long the orchestrator remembers what a lost worker was doing, for the case that its host reports a crash. */
export const OBITUARY_MS = 60_000
/** Workers of which the reason of the last end is remembered: as many as there may be members. */
export const MAX_ENDS = 10_000
/**
 * Characters of that reason: it stands in the worker's record, and ten thousand records must fit into one status
 * (api/report.ts).
 */
export const MAX_ENDED = 100
/**
 * Exchanges at once on one connection, even if a cluster offers more slots: each takes one of its 4,096 fids, as does
 * each user above.
 */
export const MAX_ATTEMPTS = 3_000
/** Names kept for workers that have left, so that a worker that comes back has its old name. */
export const MAX_NAMES = 100_000
/** Workers whose model is remembered: ten times as many as one host may start. Each is a line of `ctl`. */
export const MAX_WANTED = 10_000
/**
 * The pause between two reads of a peer's events, of 64 KiB each: a peer that floods its events costs a few percent of
 * a processor.
 */
export const EVENTS_PAUSE_MS = 20
/**
 * How long a peer may take over a command that it carries out at once, such as `unload` or `spawn`, and over a status
 * that a command waits for: as long as a call to a joined machine may take that does not wait for content
 * (fs/kit/remote.ts).
 */
export const COMMAND_MS = 15_000
/**
 * How long a worker may take over a load. It gives up a load after 30 minutes, and may be in the middle of another when
 * it gets this one.
 */
export const LOAD_MS = 61 * 60_000
/**
 * The pause between two status requests to a worker whose events report a load, and between two tries of a load that a
 * worker is too busy for.
 */
export const REFRESH_PAUSE_MS = 250
/**
 * How long after a refused join new connections from the same address are closed unread: doubled with each refusal, up
 * to the second value. A joiner that keeps trying then costs one status a minute. The maximum is not longer because
 * other joiners at that address wait, too.
 */
export const REFUSED_PAUSE_MS = 1_000
export const MOST_REFUSED_PAUSE_MS = 60_000
/** How long after the end of such a pause another refusal still doubles it. */
export const REFUSED_MS = 600_000
/** Addresses whose refusals are remembered: each takes a record of some 100 bytes. */
export const MAX_REFUSED = 10_000
/** Refusals that the log reports in one minute: a day's log then has 15,000 of them at most, of some 300 bytes each. */
export const MAX_TOLD = 10
export const TOLD_WINDOW_MS = 60_000
/** Characters of the reason for a refusal, for the joiner and in the log. */
export const MAX_REASON = 300
/**
 * Joiners of one address that are greeted at once: each takes up to 4 MiB for its status. The others wait for their
 * turn.
 */
export const MAX_MEETING = 16
/** Members: ten times as many as planned for. Each takes two files and some KiB. */
export const MAX_MEMBERS = 10_000
/** Hosts: one for each machine. */
export const MAX_HOSTS = 1_000
/**
 * Joiners remembered by their secret: the most recent ones. A record takes some 150 bytes, and all records are in one
 * file.
 */
export const MAX_IDENTITIES = 20_000
/** How long a joiner that stays away is remembered: as long as somebody may leave a machine switched off. */
export const IDENTITY_MS = 30 * 86_400_000
/**
 * How long the name of a peer that has left is kept for it: as long as a worker on another machine lives without its
 * cluster.
 */
export const NAME_GRACE_MS = 600_000
/** How long a worker that is being shut down may finish its tasks before they move to other workers. */
export const DRAIN_MS = 25_000
/** How long a cluster that shuts down waits for its attempts on workers to stop. */
export const CLOSE_MS = 1_000
