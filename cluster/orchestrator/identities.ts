import * as field from '../../api/field.js'
import { records } from '../../api/text.js'
import type { Clock } from '../../fs/clock.js'
import { fail } from '../../fs/errors.js'
import { record } from '../../fs/quote.js'
import { digestOf, same } from '../secret.js'
import { IDENTITY_MS, MAX_IDENTITIES } from './limits.js'
import type { Restored, Saver } from './saved.js'

/** Where they are kept. */
const FILE = 'joiners'
/** Most characters of one record: an id, a digest and a time. */
const MAX_RECORD = 256

const joiner = field.object({
  id: field.id,
  /** SHA-256 of its secret, in hex. */
  digest: field.secret,
  /** When it joined last, in ms since 1970. */
  seen: field.integer(0, Number.MAX_SAFE_INTEGER),
})

/**
 * The joiners, each known by the digest of the secret that it showed when it first came under its id. A peer that knows only the id, which
 * stands in `status`, cannot take its place. Nobody is locked out for good: who has lost its secret has lost its id with it and comes as
 * a new one, and where this list is lost each is taken as it comes.
 */
export class Identities {
  /** By id, who joined longest ago first. */
  readonly #known = new Map<string, { digest: string; seen: number }>()

  constructor(
    restored: Restored,
    readonly saver: Saver | undefined,
    readonly clock: Clock,
    /** Whether one of that id is joined now. */
    readonly joined: (id: string) => boolean,
  ) {
    for (const { id, digest, seen } of restored.read(FILE, parse) ?? [])
      if (clock.date() - seen < IDENTITY_MS) this.#known.set(id, { digest, seen })
  }

  /**
   * Lets in who shows the secret that its id came with, or comes for the first time. Without a secret (a version before there were any)
   * an id is taken that has never come with one.
   * @throws FsError `permission denied`
   */
  admit(id: string, secret: string | undefined): void {
    const known = this.#known.get(id)
    if (known && (secret === undefined || !same(known.digest, digestOf(secret))))
      throw fail(
        'permission',
        `id ${id} belongs to a joiner with another secret; remove this one's id to have it come as a new one`,
      )
    if (secret === undefined) return
    this.#known.delete(id)
    this.#known.set(id, { digest: digestOf(secret), seen: this.clock.date() })
    for (const other of this.#known.keys()) {
      if (this.#known.size <= MAX_IDENTITIES) break
      if (!this.joined(other)) this.#known.delete(other)
    }
    this.saver?.save(FILE, () => [...this.#known].map(([id, of]) => `${record('joiner', { id, ...of })}\n`).join(''))
  }
}

/** The joiners of a file. @throws Unfit for one that is damaged: of that none is believed, and each is taken as it comes */
function parse(text: string): field.Of<typeof joiner>[] {
  const most = { characters: MAX_RECORD * MAX_IDENTITIES, count: 2 * MAX_IDENTITIES }
  return records(text, FILE, most).map(({ attrs }) => joiner(attrs, 'joiner'))
}
