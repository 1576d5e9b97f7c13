/** Proof that an exchange was given to a member: the member shows it to claim the exchange after a lost connection. */
import type { User } from '../../../fs/file.js'
import { hmac, same } from '../../secret.js'

/** An exchange as it was assigned to a member. */
export interface Assignment {
  readonly task: string
  readonly attempt: number
  readonly user: Pick<User, 'name' | 'uid'>
  readonly session?: string | undefined
}

/**
 * Makes and checks proofs. A member gets one with each exchange and has to show it when it reports that it still has
 * the exchange. It proves that the exchange was given to this member, for this user, session and attempt. The cluster
 * stores nothing for that, so a proof is still valid after a restart.
 */
export class Proofs {
  readonly #hmac: (text: string) => string

  /** @param secret the cluster's own, which is the same after a restart */
  constructor(secret: string) {
    this.#hmac = hmac(secret)
  }

  /**
   * The secret that this cluster shows to a cluster that it joins. It does not reveal the secret that it is made from.
   */
  get joining(): string {
    return this.#hmac('join')
  }

  /** The proof for an assignment to a member. */
  of(member_id: string, { task, attempt, user, session }: Assignment): string {
    // JSON delimits each value: no two assignments give the same text
    return this.#hmac(JSON.stringify([member_id, task, attempt, user.name, user.uid, session ?? null]))
  }

  /** Whether this is the proof for that assignment. */
  holds(proof: string, member_id: string, assignment: Assignment): boolean {
    return same(proof, this.of(member_id, assignment))
  }
}
