import { createHmac } from 'node:crypto'
import type { User } from '../../fs/file.js'
import { same } from '../secret.js'

/** An exchange as it was given to a member. */
export interface Assignment {
  readonly task: string
  readonly attempt: number
  readonly user: Pick<User, 'name' | 'uid'>
  readonly session?: string | undefined
}

/**
 * What a member gets with each exchange, and has to show when it says that it still has one: that it was given to that member, for that
 * user, session and attempt. Nothing has to be remembered for that, so that it holds after a restart as well.
 */
export class Proofs {
  readonly #secret: string

  /** @param secret the cluster's own, which outlives the process */
  constructor(secret: string) {
    this.#secret = secret
  }

  /** What we show ourselves where we join: it tells nothing of the secret that it is made of. */
  get joining(): string {
    return createHmac('sha256', this.#secret).update('join').digest('hex')
  }

  of(member_id: string, { task, attempt, user, session }: Assignment): string {
    // as a list each value has its own ends: no two assignments give one text
    const text = JSON.stringify([member_id, task, attempt, user.name, user.uid, session ?? null])
    return createHmac('sha256', this.#secret).update(text).digest('hex')
  }

  holds(proof: string, member_id: string, assignment: Assignment): boolean {
    return same(proof, this.of(member_id, assignment))
  }
}
