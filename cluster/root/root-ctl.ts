/** The `ctl` of a root: its settings, which can be saved for the next server and restored from the last one. */
import type { Events } from '../../api/events.js'
import { quote, words } from '../../fs/base/quote.js'
import type { Context, File, Owner } from '../../fs/file.js'
import { type CtlOptions, ctl, run, type Verb } from '../../fs/kit/ctl.js'
import { type Settings, samplingLines, samplingVerbs, systemVerb } from './settings.js'

export interface RootCtlOptions {
  owner: Owner
  events: Events
  /** The commands of this root, besides those that all roots have. */
  verbs: Record<string, Verb>
  /** The settings of those commands, as the commands that would set them. */
  settings(): string[]
  /** Saves the commands that would restore the current settings; the list may be empty. */
  saveSettings?(lines: readonly string[]): void
}

export class RootCtl {
  readonly file: File
  /** The sampling and the system prompt of requests that do not say otherwise. */
  readonly settings: Settings = { sampling: {}, system: '' }
  readonly #o: RootCtlOptions
  readonly #ctl: Omit<CtlOptions, 'changed'>
  /** The settings before any command. */
  readonly #initial: readonly string[]

  constructor(o: RootCtlOptions) {
    this.#o = o
    const settings = () => this.settings
    const verbs = { ...o.verbs, system: systemVerb(settings), ...samplingVerbs(settings) }
    const text = () => this.#lines().map(line => `${line}\n`)
    this.#ctl = { owner: o.owner, verbs, read: () => text().join('') }
    this.file = ctl({ ...this.#ctl, changed: () => this.keep() })
    this.#initial = this.#lines()
  }

  /** Saves the current settings for the next server. */
  keep(): void {
    this.#o.saveSettings?.(this.#lines().filter(line => !this.#initial.includes(line)))
  }

  /**
   * Restores the settings of an earlier server, without saving them again. Lines that are no longer valid are reported
   * in `events` and skipped.
   * @returns how many lines were skipped
   */
  restore(text: string, ctx: Context): number {
    let failures = 0
    const set = (line: string) => {
      try {
        run(this.#ctl, line, ctx)
      } catch (error) {
        failures++
        this.#o.events.add('not-restored', { setting: line, error: (error as Error).message })
      }
    }
    let lines: string[][]
    try {
      lines = words(text)
    } catch {
      set(text)
      return failures
    }
    for (const line of lines) set(line.map(quote).join(' '))
    return failures
  }

  /** The settings, as the commands that would set them. */
  #lines(): string[] {
    const { system, sampling } = this.settings
    return [...this.#o.settings(), ...(system ? [`system ${quote(system)}`] : []), ...samplingLines(sampling)]
  }
}
