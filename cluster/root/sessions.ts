/** The `session/` directory of a server. */

import { fail } from '../../api/errors.js'
import { parseSession } from '../../api/session.js'
import type { Context, Entry, File, Owner } from '../../fs/file.js'
import { clone } from '../../fs/kit/clone.js'
import { generated } from '../../fs/kit/dir.js'
import { FEW_SESSIONS, MAX_SESSIONS, RESERVED_SESSIONS } from './limits.js'
import { Session, type SessionDeps } from './session.js'

/** The conversations of a server: `session/`. Each user sees only their own. */
export class Sessions {
  readonly dir: File
  readonly #sessions = new Map<string, Session>()

  readonly #host: SessionDeps

  constructor(host: SessionDeps, owner: Owner) {
    this.#host = host
    const cloneFile = clone(ctx => {
      // opening it for reading creates a session, so read permission is not enough
      if (ctx.user.role === 'read') throw fail('permission')
      if (this.#sessions.size >= this.#most(ctx)) throw fail('tooManySessions', 'rmdir some, or let them expire')
      const id = host.id()
      const session = new Session(id, ctx.user, host, () => this.#sessions.delete(id))
      this.#sessions.set(id, session)
      return { name: id, ctl: session.ctl }
    }, owner)
    this.dir = generated({
      owner,
      mode: 0o777,
      walk: (name, ctx) => (name === 'clone' ? cloneFile : this.get(name, ctx)?.dir),
      list: ctx => {
        const out: Entry[] = [['clone', cloneFile]]
        for (const [id, session] of this.#sessions)
          if (session.user.name === ctx.user.name && session.listed) out.push([id, session.dir])
        return out
      },
    })
  }

  /** How many sessions there may be for that user to make one more. */
  #most({ user }: Context): number {
    if (this.#sessions.size < MAX_SESSIONS - RESERVED_SESSIONS) return MAX_SESSIONS
    const own = [...this.#sessions.values()].filter(session => session.user.name === user.name).length
    return own < FEW_SESSIONS ? MAX_SESSIONS : MAX_SESSIONS - RESERVED_SESSIONS
  }

  get size(): number {
    return this.#sessions.size
  }

  /** The session with that number, if it belongs to this user. */
  get(id: string, { user }: Context): Session | undefined {
    const session = this.#sessions.get(id)
    return session?.user.name === user.name ? session : undefined
  }

  /** Restores a session of an earlier server. @throws if the saved text is invalid; no session is made then */
  restore(id: string, text: string): void {
    let session: Session | undefined
    try {
      const saved = parseSession(text)
      session = new Session(id, saved.user, this.#host, () => this.#sessions.delete(id))
      session.restore(saved)
      this.#sessions.set(id, session)
    } catch (error) {
      session?.leave()
      throw error
    }
  }

  /** Ends all sessions in this process. Saved ones remain for the next server. */
  close(): void {
    for (const session of [...this.#sessions.values()]) session.leave()
  }
}
