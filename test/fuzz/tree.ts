/** The tree that the fuzzed server serves. */

import { exchange } from '../../cluster/root/exchange.js'
import type { File, Opened, Owner } from '../../fs/file.js'
import { AppendLog, logFile } from '../../fs/kit/append-log.js'
import { clone } from '../../fs/kit/clone.js'
import { bytes, text } from '../../fs/kit/content.js'
import { ctl, word, word1 } from '../../fs/kit/ctl.js'
import { dir, generated, union } from '../../fs/kit/dir.js'
import { EventLog } from '../../fs/kit/event-log.js'
import { ram } from '../fs/tree.js'

const owner: Owner = { name: 'glenda', uid: 1000, gid: 100 }

const WAITING = 50

/** A tree with a file of each kind, and with counts that must be right when the connection has ended. */
export class FuzzTree {
  readonly root: File
  /** Opens that have no close yet. */
  open = 0
  /** Closes of files that were closed already. */
  twice = 0
  readonly #log = new AppendLog()
  readonly #feed = new EventLog()
  /** Whether somebody opened the feed. */
  #fed = false

  constructor() {
    const log = this.#log
    log.append('begun\n')
    let word_ = 'hello'
    const answer = new AppendLog()
    answer.append('an answer\n')
    answer.end()
    const control = ctl({
      owner,
      mode: 0o666,
      verbs: {
        greet: word1('WORD', String, w => void (word_ = w)),
        later: word(async () => {}),
        end: word(() => log.end()),
      },
      read: () => `greet ${word_}\n`,
    })
    const inner = dir(new Map([['file', bytes('deep\n', { owner })]]), owner)
    this.#feed.add('begun', { n: 1 })
    const watched = this.#feed.stream(owner, 0o444)
    const open = watched.open.bind(watched)
    watched.open = (mode, ctx) => {
      this.#fed = true
      return open(mode, ctx)
    }
    const entries = new Map<string, File>([
      ['text', text(() => `${word_}, world\n`, { owner })],
      ['later', text(async () => 'later\n', { owner })],
      ['bytes', bytes(new Uint8Array(5000).fill(97), { owner })],
      ['private', bytes('mine\n', { owner: { name: 'other', uid: 1 }, mode: 0o600 })],
      ['ctl', control],
      ['log', logFile(() => log, owner, 0o444)],
      ['feed', watched],
      ['fed', this.#feed.file(owner, 0o444)],
      [
        'data',
        exchange({
          owner,
          limit: 4096,
          submit: () => ({ answer, abandon() {} }),
          refused() {},
          newest: () => undefined,
        }),
      ],
      ['clone', clone(() => ({ name: '1', ctl: this.#counted(control) }), owner)],
      ['slow', clone(async () => ({ name: '2', ctl: this.#counted(control) }), owner)],
      ['dir', inner],
      [
        'gen',
        generated({ owner, walk: async name => (name === 'x' ? inner : undefined), list: async () => [['x', inner]] }),
      ],
      ['both', union(() => [inner, dir(new Map([['text', control]]), owner)], owner)],
      ['ram', ram()],
    ])
    this.root = this.#counted(dir(entries, owner))
  }

  /** Ends everything that readers of the files wait for. */
  end(): void {
    this.#log.end()
    // a line for each of the requests that may wait for one
    if (this.#fed) for (let i = 0; i < WAITING; i++) this.#feed.add('ended')
  }

  /** The same file, with its opens and closes counted, and those of the files below it. */
  #counted(file: File): File {
    const { walk, create } = file
    return {
      ...file,
      open: (mode, ctx) => {
        const opened = file.open(mode, ctx)
        return opened instanceof Promise ? opened.then(o => this.#opened(o)) : this.#opened(opened)
      },
      ...(walk && {
        walk: (name, ctx) => {
          const found = walk.call(file, name, ctx)
          if (found instanceof Promise) return found.then(f => f && this.#counted(f))
          return found && this.#counted(found)
        },
      }),
      ...(create && {
        create: async (name, perm, mode, ctx) => {
          const made = await create.call(file, name, perm, mode, ctx)
          return { file: this.#counted(made.file), opened: this.#opened(made.opened) }
        },
      }),
    }
  }

  #opened(opened: Opened): Opened {
    const close = opened.close?.bind(opened)
    let closed = false
    this.open++
    const counting = opened as { close?: Opened['close'] }
    counting.close = () => {
      if (closed) this.twice++
      else this.open--
      closed = true
      return close?.()
    }
    return opened
  }
}
