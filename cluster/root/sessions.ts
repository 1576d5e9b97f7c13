/** The `session/` directory of a server. */

import { fail } from '../../api/errors.js'
import { parseSession } from '../../api/session.js'
import type { Context, Entry, File, Owner, User } from '../../fs/file.js'
import { clone } from '../../fs/kit/clone.js'
import { generated } from '../../fs/kit/dir.js'
import type { Exchange } from './exchange.js'
import { FEW_SESSIONS, MAX_SESSIONS, RESERVED_SESSIONS } from './limits.js'
import { Session, type SessionDeps } from './session.js'
import { SessionFiles } from './session-files.js'

interface Entered {
  readonly session: Session
  readonly files: SessionFiles
}

/** The conversations of a server: `session/`. Each user sees only their own. */
export class Sessions {
  readonly dir: File
  readonly #deps: SessionDeps
  readonly #sessions = new Map<string, Entered>()

  constructor(deps: SessionDeps, owner: Owner) {
    this.#deps = deps
    const cloneFile = clone(ctx => {
      // opening it for reading creates a session, so read permission is not enough
      if (ctx.user.role === 'read') throw fail('permission')
      if (this.#sessions.size >= this.#most(ctx)) throw fail('tooManySessions', 'rmdir some, or let them expire')
      const id = deps.id()
      const { files } = this.#add(id, ctx.user)
      return { name: id, ctl: files.ctl }
    }, owner)
    this.dir = generated({
      owner,
      mode: 0o777,
      walk: (name, ctx) => (name === 'clone' ? cloneFile : this.#get(name, ctx)?.files.dir),
      list: ctx => {
        const out: Entry[] = [['clone', cloneFile]]
        for (const [id, { session, files }] of this.#sessions)
          if (session.user.name === ctx.user.name && session.listed) out.push([id, files.dir])
        return out
      },
    })
  }

  get size(): number {
    return this.#sessions.size
  }

  /** The session with that number, if it belongs to this user. */
  get(id: string, ctx: Context): Session | undefined {
    return this.#get(id, ctx)?.session
  }

  /** Submits a JSON request to a session. @throws FsError if this user has no session of that number */
  generate(id: string, json: string, ctx: Context): Exchange {
    const entered = this.#get(id, ctx)
    if (!entered) throw fail('notFound', `session/${id}`)
    return entered.files.generate(json, ctx)
  }

  /** Restores a session of an earlier server. @throws if the saved text is invalid; no session is made then */
  restore(id: string, text: string): void {
    const saved = parseSession(text)
    const { session } = this.#add(id, saved.user)
    try {
      session.restore(saved)
    } catch (error) {
      session.leave()
      throw error
    }
  }

  /** Ends all sessions in this process. Saved ones remain for the next server. */
  close(): void {
    for (const { session } of [...this.#sessions.values()]) session.leave()
  }

  #get(id: string, { user }: Context): Entered | undefined {
    const entered = this.#sessions.get(id)
    return entered?.session.user.name === user.name ? entered : undefined
  }

  #add(id: string, user: User): Entered {
    const session = new Session(id, user, this.#deps, () => {
      this.#sessions.delete(id)
      files.end()
    })
    const files = new SessionFiles(session)
    const entered = { session, files }
    this.#sessions.set(id, entered)
    return entered
  }

  /** How many sessions there may be for that user to make one more. */
  #most({ user }: Context): number {
    if (this.#sessions.size < MAX_SESSIONS - RESERVED_SESSIONS) return MAX_SESSIONS
    const own = [...this.#sessions.values()].filter(({ session }) => session.user.name === user.name).length
    return own < FEW_SESSIONS ? MAX_SESSIONS : MAX_SESSIONS - RESERVED_SESSIONS
  }
}
