/** Publishes what has changed about the members of the cluster, once per turn of the event loop. */

import type { FsError } from '../../../api/errors.js'
import type { Member } from './member.js'

/** What has happened to a member since the last publication. */
export interface Change {
  readonly member: Member
  /** It has joined. */
  joined?: boolean
  /** It has reported its status, and with it which exchanges of ours it still has. */
  reported?: boolean
  /** It is gone, and why. */
  left?: FsError
}

/** Takes part in a publication. It may change members: that is published in the next round of the same turn. */
export type Subscriber = (change: Change) => void

/**
 * Whatever changes a member calls `changed`. At the end of the turn each subscriber gets each change, in the order of
 * `subscribe`, and then `onSettled` runs once. So no rule runs in the middle of another, and the queue is looked at
 * once, however many members have changed.
 */
export class Changes {
  #changes = new Map<Member, Change>()
  readonly #subscribers: Subscriber[] = []
  #scheduled = false
  #publishing = false

  /** Called at the end of a turn in which something changed that a task may wait for. */
  onSettled: () => void = () => undefined

  subscribe(subscriber: Subscriber): void {
    this.#subscribers.push(subscriber)
  }

  /** Whether or how a member can be used may have changed. */
  changed(member: Member, what: Omit<Change, 'member'> = {}): void {
    const change = this.#changes.get(member)
    if (change) Object.assign(change, what)
    else this.#changes.set(member, { member, ...what })
    this.wake()
  }

  /** Something else has changed that a task may wait for: a slot, a pause, a model. */
  wake(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    queueMicrotask(() => {
      this.publish()
      this.#scheduled = false
      this.onSettled()
    })
  }

  /** Publishes now what has changed so far: what follows in this turn relies on it. */
  publish(): void {
    // called by a subscriber: the loop below goes on
    if (this.#publishing) return
    this.#publishing = true
    try {
      while (this.#changes.size > 0) {
        const changes = [...this.#changes.values()]
        this.#changes = new Map()
        for (const subscriber of this.#subscribers) for (const change of changes) subscriber(change)
      }
    } finally {
      this.#publishing = false
    }
  }
}
