/** `/usr/llambo`: limbot's history and configuration as files of the namespace. */
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fail } from '../api/errors.js'
import { andThen } from '../fs/base/maybe-promise.js'
import { type File, newQid, type Opened, type Owner } from '../fs/file.js'
import { makeDirectory } from '../fs/host-directory.js'
import { now, slice, text } from '../fs/kit/content.js'
import { dir, generated } from '../fs/kit/dir.js'
import { OTRUNC } from '../fs/wire/protocol.js'
import { confFile, readConf } from './limbotconf.js'
import { stateDir } from './paths.js'
import { replacePrivate } from './private-file.js'
import { History } from './terminal/history.js'
import { MAX_YAML } from './yaml.js'

const NEWLINE = 10

/**
 * What limbot keeps for its user, as files: `llambo/limbot-history.txt` and `llambo/limbot.conf`. They show the files
 * in the XDG directories that `env` names, and only `owner` may see them.
 */
export function usr(env: NodeJS.ProcessEnv, owner: Owner): File {
  const files = new Map([
    ['limbot-history.txt', text(() => historyText(env), { owner, mode: 0o400 })],
    ['limbot.conf', conf(confFile(env), owner)],
  ])
  return dir(new Map([['llambo', dir(files, owner, 0o700)]]), owner, 0o700)
}

/** Adds `usr` to a root. */
export function withUsr(root: File, usr: File, owner: Owner): File {
  return generated({
    owner,
    walk: (name, ctx) => (name === 'usr' ? usr : root.walk!(name, ctx)),
    list: ctx =>
      andThen(root.open(0, ctx), opened => andThen(opened.list!(ctx), entries => [...entries, ['usr', usr] as const])),
  })
}

/** The history as text. Each entry begins a line; further lines of an entry begin with a tab. */
function historyText(env: NodeJS.ProcessEnv): string {
  const { entries } = new History(join(stateDir(env), 'limbot_history'))
  return entries.map(entry => `${entry.replaceAll('\n', '\n\t')}\n`).join('')
}

/**
 * A file on disk that is replaced when what was written to it is complete and valid. The content is checked at each
 * write that ends in a newline, so that `echo` fails where it should: shells ignore the error of a close.
 */
function conf(path: string, owner: Owner): File {
  const qid = newQid()
  const read = (): Uint8Array => {
    try {
      return readFileSync(path)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return new Uint8Array(0)
      throw error
    }
  }
  /** What is being written, by whichever open; and whether it was written to, and not only truncated. */
  let draft: { content: Uint8Array; written: boolean } | undefined
  const check = async (content: Uint8Array, whole: boolean) => {
    const { wrong, unfinished } = await readConf(utf8(content), 'limbot.conf')
    if (wrong.length === 0 || (unfinished && !whole)) return
    draft = undefined
    throw fail('badArgument', wrong.join('; '))
  }
  const save = async () => {
    if (!draft) return
    const { content } = draft
    await check(content, true)
    draft = undefined
    makeDirectory(dirname(path), 0o700)
    replacePrivate(path, content)
  }
  const truncate = () => {
    draft = { content: new Uint8Array(0), written: false }
  }
  return {
    qid,
    attributes: () => ({ mode: 0o600, owner, length: (draft?.content ?? read()).length, mtime: now(), atime: now() }),
    truncate,
    open(mode): Opened {
      if (mode & OTRUNC) truncate()
      let failed: unknown
      return {
        read: (offset, count) => slice(draft?.content ?? read(), offset, count),
        async write(offset, data) {
          if (failed) throw failed
          const end = offset + data.length
          if (end > MAX_YAML) throw fail('tooLarge', `over ${MAX_YAML} bytes`)
          const before = draft?.content ?? read()
          const content = new Uint8Array(Math.max(before.length, end))
          content.set(before)
          content.set(data, offset)
          draft = { content, written: true }
          if (content.at(-1) !== NEWLINE) return data.length
          try {
            await check(content, false)
          } catch (error) {
            failed = error
            throw error
          }
          return data.length
        },
        // a shell that has opened the file closes a duplicate descriptor before it writes, which must not save the
        // empty file
        sync: () => (draft?.written ? save() : undefined),
        close: () => save().catch(() => {}),
      }
    },
  }
}

function utf8(data: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(data)
  } catch {
    throw fail('notText')
  }
}
