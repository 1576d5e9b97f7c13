/** Tab completion: finds the word at the cursor and what could complete it. */

import { setTimeout as pause } from 'node:timers/promises'
import type { Completion } from '../cli/terminal/listing.js'
import { quote } from '../fs/base/quote.js'
import type { Stat } from '../fs/wire/protocol.js'
import { keywords } from './ast.js'
import { builtins, find } from './builtin/table.js'
import type { Kind } from './call.js'
import { HOME, type State } from './state.js'
import * as tree from './tree.js'

/** How long Tab may wait for a directory, in ms. */
const BUDGET_MS = 150
/** How long a listing counts as fresh, in ms. */
const FRESH_MS = 2000
/** How many directories are remembered. */
const KEPT = 200

interface Listing {
  entries: readonly Stat[] | undefined
  at: number
  asking: Promise<void> | undefined
}

/** The word at the cursor: where it begins, its text without quotes, and the words of its command before it. */
export interface CompletionContext {
  readonly from: number
  readonly word: string
  readonly quoted: boolean
  readonly before: readonly string[]
  readonly redirected: boolean
  /** The cursor is in a command for the host or in a comment, where dish completes nothing. */
  readonly foreign: boolean
}

/** Reads a line up to the cursor. It need not be a whole command. */
export function placeOf(text: string): CompletionContext {
  let before: string[] = []
  let word = ''
  let from = 0
  let inside = false
  let quoted = false
  let redirected = false
  let foreign = false
  const end = (at: number) => {
    if (inside) {
      if (!redirected) before.push(word)
      redirected = false
    }
    word = ''
    inside = false
    quoted = false
    from = at
  }
  for (let at = 0; at < text.length; at++) {
    const c = text[at]!
    if (foreign) {
      if (/[|;\n]/.test(c)) [foreign, before, from] = [false, [], at + 1]
    } else if (c === "'") {
      if (!inside) from = at
      inside = quoted = true
      for (at++; at < text.length && (text[at] !== "'" || text[at + 1] === "'"); at++) {
        if (text[at] === "'") at++
        word += text[at]
      }
      if (at >= text.length) return { from, word, quoted, before, redirected, foreign }
    } else if (/[ \t]/.test(c)) end(at + 1)
    else if (/[;\n&|{}]/.test(c) || (c === '(' && /^(if|while)$/.test(inside ? word : (before.at(-1) ?? '')))) {
      end(at + 1)
      before = []
      redirected = false
    } else if (c === '(' || c === ')' || c === '^') {
      end(at + 1)
      if (c === ')' && /^(if|while|for)$/.test(before[0] ?? '')) before = []
    } else if (c === '<' || c === '>') {
      end(at + 1)
      redirected = true
    } else if ((c === '#' && !inside) || (c === '!' && !inside && before.length === 0)) foreign = true
    else {
      if (!inside) from = at
      inside = true
      word += c
    }
  }
  return { from, word, quoted, before, redirected, foreign }
}

/** Finds what could stand at the cursor. It asks the tree, with a time limit, and caches the answers. */
export class Completer {
  readonly #listings = new Map<string, Listing>()

  /** @param hint shows a line while there is no better answer; undefined removes it */
  constructor(
    readonly state: State,
    readonly hint: (line: string | undefined) => void,
  ) {}

  async complete(text: string, cursor: number, signal: AbortSignal): Promise<Completion | undefined> {
    this.hint(undefined)
    const place = placeOf(text.slice(0, cursor))
    if (place.foreign) return undefined
    const { from, word } = place
    if (word.startsWith('$') && !place.quoted) {
      const names = ['status', ...this.state.variables.keys()]
      return {
        from,
        items: starting(
          word,
          names.map(name => ({ text: `$${name} ` })),
        ),
      }
    }
    return this.#of(place, place.redirected ? 'path' : kindOf(place.before), signal)
  }

  async #of(place: CompletionContext, kind: Kind | 'option', signal: AbortSignal): Promise<Completion | undefined> {
    const { from, word } = place
    const own = (items: Completion['items']) => ({ from, items: starting(word, items) })
    const command = commandOf(place.before)
    switch (kind) {
      case 'text':
        return undefined
      case 'command':
        if (word.includes('/')) return this.#path(place, false, signal)
        return own([
          ...commands(this.state),
          ...[...keywords].filter(one => one !== '~').map(text => ({ text: `${text} ` })),
        ])
      case 'builtin':
        return own(commands(this.state))
      case 'job':
        return own(this.state.shared.jobs.running.map(({ id, text }) => ({ text: `%${id} `, help: text })))
      case 'worker':
      case 'task': {
        const dir = kind === 'worker' ? HOME : `${HOME}/task`
        const names = ((await this.#list(dir, signal)) ?? []).map(({ name }) => name)
        return own(
          names.filter(name => kind === 'task' || /^worker-\d{4,}$/.test(name)).map(text => ({ text: `${text} ` })),
        )
      }
      default:
        if (word.startsWith('-')) {
          const options = find(command[0] ?? '')?.options ?? []
          return own(options.map(([flag, help]) => ({ text: `${flag.split(' ')[0]} `, help })))
        }
        return this.#path(place, kind === 'directory', signal)
    }
  }

  async #path(place: CompletionContext, directories: boolean, signal: AbortSignal): Promise<Completion | undefined> {
    const { word } = place
    const cut = word.lastIndexOf('/') + 1
    const [dir, base] = [word.slice(0, cut), word.slice(cut)]
    const entries = await this.#list(this.state.path(dir || '.'), signal)
    if (!entries) return undefined
    const found = entries.filter(entry => entry.name.startsWith(base) && (!directories || tree.isDirectory(entry)))
    const plain = !place.quoted && found.every(({ name }) => quote(name) === name && !/[*?;&|^$`{}<>\\]/.test(name))
    const items = found.map(entry => {
      const behind = tree.isDirectory(entry) ? '/' : ' '
      if (plain) return { text: entry.name + behind }
      const text = `'${(dir + entry.name).replaceAll("'", "''")}`
      return { text: behind === '/' ? `${text}/` : `${text}' ` }
    })
    return { from: plain ? place.from + cut : place.from, items }
  }

  /** A directory's entries if they arrive in time; otherwise the last known ones, if any. */
  async #list(path: string, signal: AbortSignal): Promise<readonly Stat[] | undefined> {
    const known = this.#listings.get(path)
    const listing: Listing = known ?? { entries: undefined, at: Number.NEGATIVE_INFINITY, asking: undefined }
    if (!known) {
      if (this.#listings.size >= KEPT) this.#listings.delete(this.#listings.keys().next().value!)
      this.#listings.set(path, listing)
    }
    if (performance.now() - listing.at < FRESH_MS) return listing.entries
    // an answer that is too late for this Tab is there for the next
    listing.asking ??= tree
      .list(this.state, path, new AbortController().signal)
      .then(
        entries => {
          listing.entries = entries
          listing.at = performance.now()
        },
        () => undefined,
      )
      .finally(() => {
        listing.asking = undefined
      })
    const { asking } = listing
    const late = await Promise.race([asking.then(() => false), pause(BUDGET_MS, true, { signal }).catch(() => true)])
    if (signal.aborted) return undefined
    if (late)
      this.hint(
        `${tree.nodeOf(this.state, path)} is slow to answer${listing.entries ? '; these names are from before' : '; Tab asks again'}`,
      )
    return listing.entries
  }
}

const starting = (word: string, items: Completion['items']) => items.filter(({ text }) => text.startsWith(word))

const commands = (state: State): Completion['items'] => [
  ...builtins.map(({ name, summary }) => ({ text: `${name} `, help: summary })),
  ...[...state.functions.keys()].map(name => ({ text: `${name} `, help: 'a function' })),
]

/** The words of the innermost command: after `on WORKER`, `all`, `watch` and `not` another one begins. */
function commandOf(before: readonly string[]): readonly string[] {
  const [name = '', ...rest] = before
  if (name === 'not' || /^[A-Za-z_][A-Za-z0-9_]*=/.test(name)) return commandOf(rest)
  const at = find(name)?.completes?.indexOf('command') ?? -1
  const args = rest.filter((word, i) => !(word.startsWith('-') || rest[i - 1]?.startsWith('-')))
  if (at === -1 || args.length <= at) return before
  return commandOf(args.slice(at))
}

/** The kind of argument that comes after these words. */
function kindOf(before: readonly string[]): Kind {
  const [name, ...rest] = commandOf(before)
  if (name === undefined) return 'command'
  const completes = find(name)?.completes ?? ['path']
  const args = rest.filter(word => !word.startsWith('-'))
  return completes[Math.min(args.length, completes.length - 1)]!
}
