/** The result of one check of `llamboctl doctor`. */

/** The result of one check. `bad` keeps llambo from working; `note` keeps it from doing all that it could. */
export interface Finding {
  readonly name: string
  readonly state: 'ok' | 'note' | 'bad'
  readonly says: string
  /** What to do about it; present unless the state is `ok`. */
  readonly remedy?: string
}
