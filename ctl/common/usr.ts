import { randomBytes } from 'node:crypto'
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fail } from '../../fs/errors.js'
import { type File, newQid, type Opened, type Owner } from '../../fs/file.js'
import { now, slice, text } from '../../fs/kit/content.js'
import { dir, generated } from '../../fs/kit/dir.js'
import { chain } from '../../fs/maybe.js'
import { OTRUNC } from '../../fs/protocol.js'
import { confFile, readConf } from './limbotconf.js'
import { stateDir } from './paths.js'
import { History } from './terminal/history.js'

/** Bytes of a configuration. */
const MOST = 64 * 1024

/**
 * What limbot keeps of its user, as files: `llambo/limbot-history.txt` and `llambo/limbot.conf`. They are those of the XDG
 * directories that `env` names, and nobody else's to see.
 */
export function usr(env: NodeJS.ProcessEnv, owner: Owner): File {
  const files = new Map([
    ['limbot-history.txt', text(() => historyText(env), { owner, mode: 0o400 })],
    ['limbot.conf', conf(confFile(env), owner)],
  ])
  return dir(new Map([['llambo', dir(files, owner, 0o700)]]), owner, 0o700)
}

/** A root with `usr` in it. */
export function withUsr(root: File, usr: File, owner: Owner): File {
  return generated({
    owner,
    walk: (name, ctx) => (name === 'usr' ? usr : root.walk!(name, ctx)),
    list: ctx =>
      chain(root.open(0, ctx), opened => chain(opened.list!(ctx), entries => [...entries, ['usr', usr] as const])),
  })
}

/** Each entry at the beginning of a line; lines of one that has several behind a tab. */
function historyText(env: NodeJS.ProcessEnv): string {
  const { entries } = new History(join(stateDir(env), 'limbot_history'))
  return entries.map(entry => `${entry.replaceAll('\n', '\n\t')}\n`).join('')
}

/** A file on disk that is checked when what was written to it is complete, and then takes its place. */
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
  /** What is being written, of whoever writes. */
  let draft: Uint8Array | undefined
  const save = async () => {
    if (draft === undefined) return
    const content = draft
    draft = undefined
    const { wrong } = await readConf(utf8(content), 'limbot.conf')
    if (wrong.length > 0) throw fail('badArgument', wrong.join('; '))
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
    const beside = `${path}.${randomBytes(6).toString('hex')}`
    writeFileSync(beside, content, { mode: 0o600, flag: 'wx' })
    renameSync(beside, path)
  }
  const truncate = () => {
    draft = new Uint8Array(0)
  }
  return {
    qid,
    attributes: () => ({ mode: 0o600, owner, length: (draft ?? read()).length, mtime: now(), atime: now() }),
    truncate,
    open(mode): Opened {
      if (mode & OTRUNC) truncate()
      return {
        read: (offset, count) => slice(draft ?? read(), offset, count),
        write(offset, data) {
          const end = offset + data.length
          if (end > MOST) throw fail('tooLarge', `over ${MOST} bytes`)
          const before = draft ?? read()
          const whole = new Uint8Array(Math.max(before.length, end))
          whole.set(before)
          whole.set(data, offset)
          draft = whole
          return data.length
        },
        sync: save,
        // what is wrong was said by a sync before; without one nobody hears it
        close: () => save().catch(() => {}),
      }
    },
  }
}

function utf8(data: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(data)
  } catch {
    throw fail('notUtf8')
  }
}
