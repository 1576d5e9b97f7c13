/** Knows joiners by their secrets, so that no other peer can join under the id of one. */

import { fail } from '../../../api/errors.js'
import * as field from '../../../api/field.js'
import { records } from '../../../api/text.js'
import type { Clock } from '../../../fs/base/clock.js'
import { record } from '../../../fs/base/quote.js'
import { digestOf, same } from '../../secret.js'
import { IDENTITY_MS, MAX_IDENTITIES } from '../limits.js'
import type { Restored, Saver } from '../saved.js'

/** The file that they are kept in. */
const FILE = 'joiners'
/** Most characters of one record: an id, a digest and a time. */
const MAX_RECORD = 256

const joiner = field.object({
  id: field.id,
  /** SHA-256 of its secret, in hex. */
  digest: field.secret,
  /** When it last joined, in ms since 1970. */
  seen: field.integer(0, Number.MAX_SAFE_INTEGER),
})

/**
 * A joiner is known by the digest of the secret that it showed when it first joined under its id. A peer that knows
 * only the id, which is in `status`, cannot take its place. Nobody is locked out for good: a joiner that has lost its
 * secret has lost its id with it and comes as a new one; and if this list is lost, each joiner is accepted as it comes.
 */
export class Identities {
  /** By id, the joiners, the one that joined longest ago first. */
  readonly #known = new Map<string, { digest: string; seen: number }>()

  constructor(
    restored: Restored,
    readonly saver: Saver | undefined,
    readonly clock: Clock,
  ) {
    for (const { id, digest, seen } of restored.read(FILE, parse) ?? [])
      if (clock.date() - seen < IDENTITY_MS) this.#known.set(id, { digest, seen })
  }

  /**
   * Admits a joiner that shows the secret of its id, or whose id is new. A joiner without a secret (of a version before
   * there were any) is admitted if its id has never come with one.
   * @param joined whether a peer with that id is joined now: such a peer is not forgotten
   * @throws FsError `permission denied` for any other
   */
  admit(id: string, secret: string | undefined, joined: (id: string) => boolean = () => false): void {
    const known = this.#known.get(id)
    if (known && (secret === undefined || !same(known.digest, digestOf(secret))))
      throw fail(
        'permission',
        `id ${id} belongs to a joiner with another secret; remove the id of this joiner, and it joins under a new one`,
      )
    if (secret === undefined) return
    this.#known.delete(id)
    this.#known.set(id, { digest: digestOf(secret), seen: this.clock.date() })
    for (const other of this.#known.keys()) {
      if (this.#known.size <= MAX_IDENTITIES) break
      if (!joined(other)) this.#known.delete(other)
    }
    this.saver?.save(FILE, () => [...this.#known].map(([id, of]) => `${record('joiner', { id, ...of })}\n`).join(''))
  }
}

/**
 * The joiners in a file.
 * @throws Unfit if it is damaged: then none of it is believed, and each joiner is accepted as it comes
 */
function parse(text: string): field.Of<typeof joiner>[] {
  const most = { characters: MAX_RECORD * MAX_IDENTITIES, count: 2 * MAX_IDENTITIES }
  return records(text, FILE, most).map(({ attrs }) => joiner(attrs, 'joiner'))
}
