/** The files of a session's directory, `session/N/`. */

import { fail } from '../../api/errors.js'
import { messageLine, parseMessageLine, parseRequest, plainRequest } from '../../api/request.js'
import { sessionStatus } from '../../api/task.js'
import type { Context, File, Owner } from '../../fs/file.js'
import { newQid } from '../../fs/file.js'
import { text } from '../../fs/kit/content.js'
import { ctl } from '../../fs/kit/ctl.js'
import { generated } from '../../fs/kit/dir.js'
import { byLine, editable, Pieces, type Writer } from '../../fs/kit/editable.js'
import type { Exchange } from './exchange.js'
import { MAX_HISTORY, MAX_PROMPT, MAX_REQUEST } from './limits.js'
import { PromptFile } from './prompt-file.js'
import { Scratch } from './scratch.js'
import type { Session } from './session.js'
import { sessionSettings, sessionVerbs } from './session-ctl.js'
import { jsonBytes, textBytes } from './weight.js'

/** The directory of one session. */
export class SessionFiles {
  readonly dir: File
  readonly ctl: File
  readonly #session: Session
  readonly #owner: Owner
  readonly #data: PromptFile
  readonly #generate: PromptFile
  readonly #scratch: Scratch
  readonly #freeScratch: () => void

  constructor(session: Session) {
    this.#session = session
    const { user, deps, turns } = session
    const owner = { name: user.name, uid: user.uid }
    this.#owner = owner
    const common = { owner, mode: 0o600, onOpen: () => session.opened() }
    this.ctl = ctl({
      ...common,
      verbs: sessionVerbs(session),
      read: () => sessionSettings(session),
      changed: () => {
        session.use()
        session.changed()
      },
    })
    this.#data = new PromptFile({
      ...common,
      limit: MAX_PROMPT,
      accept: () => deps.tasks.accept(user, { ...plainRequest([]), model: session.conversation.model }),
      begin: (prompt, ctx) => {
        const content = prompt.replace(/\r?\n$/, '')
        return session.submit(plainRequest([{ role: 'user', content }]), content, textBytes(content), ctx)
      },
      failed: (error, ctx) => deps.onError(error, ctx, `${session.path}/data`),
    })
    this.#generate = new PromptFile({
      ...common,
      limit: MAX_REQUEST,
      accept: () => deps.tasks.accept(user),
      begin: (json, ctx) => this.#begin(json, ctx),
      failed: (error, ctx) => deps.onError(error, ctx, `${session.path}/generate`),
    })
    const files: Record<string, File> = {
      ctl: this.ctl,
      data: this.#data.file,
      generate: this.#generate.file,
      system: this.#systemFile(),
      history: this.#historyFile(),
      log: this.#logFile(),
      status: text(() => this.#status(), { ...common, mode: 0o400 }),
      trace: text(() => turns.last?.traceText() ?? '', { ...common, mode: 0o400 }),
    }
    const scratchShare = deps.budget.hold(user)
    this.#freeScratch = () => scratchShare.free()
    // sed -i and editors write a new file beside one of these and rename it over that, or rename the old file first
    const scratch = new Scratch(
      owner,
      common.onOpen,
      new Map(Object.entries({ system: files.system!, history: files.history! })),
      name => Object.hasOwn(files, name),
      scratchShare,
    )
    this.#scratch = scratch
    // for rm -r: removing a file does nothing, and removing the directory ends the session
    const entries = new Map(
      Object.entries(files).map(([name, file]) => [
        name,
        { ...file, ...scratch.changes(name), remove: () => undefined },
      ]),
    )
    this.dir = generated({
      owner,
      mode: 0o700,
      walk: name => {
        if (session.closed) return undefined
        session.use()
        return entries.get(name) ?? scratch.walk(name)
      },
      list: () => [...entries, ...scratch.entries()],
      create: (name, perm, how, ctx) => scratch.create(name, perm, how, ctx),
      remove: ctx => {
        if (ctx.user.name !== user.name) throw fail('permission')
        session.close()
      },
    })
  }

  /** Submits a JSON request as a write to `generate` does. Never throws. */
  generate(json: string, ctx: Context): Exchange {
    return this.#generate.submit(json, ctx)
  }

  /** Drops what the files keep: the session has ended. */
  end(): void {
    this.#data.end()
    this.#generate.end()
    this.#scratch.end()
    this.#freeScratch()
  }

  #begin(json: string, ctx: Context): Exchange {
    const { id, user, deps } = this.#session
    const bytes = jsonBytes(json)
    // before parsing: nested JSON takes many times its text
    deps.budget.check(user.name, bytes)
    const request = parseRequest(json)
    const { messages } = request.generate
    if (request.session !== undefined && request.session !== id)
      throw fail('badArgument', `session ${request.session}: this is session ${id}`)
    if (!messages) throw fail('badArgument', 'prompt: a session accepts messages only')
    const task = this.#session.submit(request, messages.at(-1)?.content ?? '', bytes, ctx)
    return { answer: task.stream, abandon: () => task.abandon() }
  }

  #status(): string {
    const { id, user, ttl_s, turns, conversation } = this.#session
    const { busy, last } = turns
    return `${sessionStatus.line('session', {
      id,
      user: user.name,
      state: busy ? 'busy' : 'idle',
      model: conversation.model,
      messages: conversation.history.length,
      task: last?.id,
      prompt_tokens: last?.prompt_tokens,
      reused_tokens: last?.reused_tokens,
      completion_tokens: last?.completion_tokens,
      tok_s: last?.tok_s,
      ttl_s,
      error: last?.error?.message,
    })}\n`
  }

  /** `system`: the written text replaces the system prompt when the file is closed or synced. */
  #systemFile(): File {
    const { conversation } = this.#session
    const writer = (): Writer => {
      const all = new Pieces()
      return {
        take: piece => all.add(piece),
        get held() {
          return all.held
        },
        done: () => {
          const text = all.take()
          all.add(text)
          conversation.setSystem(text.replace(/\r?\n$/, ''))
        },
      }
    }
    const read = () => conversation.settings.system && `${conversation.settings.system}\n`
    return this.#editable(read, () => conversation.setSystem(''), writer)
  }

  /** `history`: one JSON message per line. Truncation empties it; written lines are appended. */
  #historyFile(): File {
    const { conversation } = this.#session
    const add = (line: string) => conversation.edit(parseMessageLine(line))
    const read = () => conversation.history.map(messageLine).join('')
    return this.#editable(
      read,
      () => conversation.clear(),
      () => byLine(add),
    )
  }

  #editable(read: () => string, clear: () => void, writer: () => Writer): File {
    const session = this.#session
    return editable({
      owner: this.#owner,
      limit: MAX_HISTORY,
      check: () => session.checkIdle(),
      onOpen: () => session.opened(),
      read,
      clear,
      writer,
      changed: () => session.changed(),
    })
  }

  /** `log`: the transcript. It shows its true length and time, so that `tail -f`, which polls, can follow it. */
  #logFile(): File {
    const { transcript } = this.#session
    const owner = this.#owner
    return {
      qid: newQid(),
      attributes: () => {
        const { length, mtime } = transcript
        return { mode: 0o400, owner, length, mtime, atime: mtime }
      },
      open: () => ({
        read: (offset, count, ctx) => transcript.read(offset, count, ctx),
        close: this.#session.opened(),
      }),
    }
  }
}
