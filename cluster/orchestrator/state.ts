/** What an orchestrator keeps from before its start: who it is, and what it must write down. */

import { fail } from '../../api/errors.js'
import type { Events } from '../../api/events.js'
import * as field from '../../api/field.js'
import { DAMAGED } from '../../api/runtime.js'
import type { User } from '../../fs/file.js'
import { hexId } from '../id.js'
import type { Root } from '../root/root.js'
import { newSecret, paired } from '../secret.js'
import { Counters, Restored, Saver, type Store, sessionFile } from './saved.js'

export interface State {
  /** Our id, which stays the same for life, and the secret that proves it. */
  readonly id: string
  readonly secret: string
  /** Whether a cluster of this id ran before. */
  readonly known: boolean
  readonly restored: Restored
  /** Writes what changes; undefined: nothing is persisted. */
  readonly saver: Saver | undefined
  readonly counters: Counters
}

/**
 * Reads the state of an earlier orchestrator, or begins a new one.
 * @param o.random makes a new id, and `o.secret` a secret that nobody can guess: 256 bits of the system's random numbers if it
 *   is omitted
 */
export function openState(
  store: Store | undefined,
  events: Events,
  { random, secret: make = newSecret }: { random: () => number; secret?: (() => string) | undefined },
): State {
  /** A disk that is full costs only what would survive a restart: the cluster goes on. */
  const unsaved = (file: string, error: Error) => events.add('not-saved', { file, error: error.message })
  const damaged = (name: string, error: Error) =>
    events.add('not-restored', {
      session: sessionFile.exec(name)?.[1],
      kept: `${name}${DAMAGED}`,
      error: error.message,
    })
  const saver = store && new Saver(store, unsaved)
  const restored = new Restored(store, damaged, unsaved)
  const before = restored.read('id', text => field.id(text.trim(), 'id')) ?? ''
  // the id and the secret are made together: a cluster that has lost its secret is another cluster
  const kept = restored.read('secret', text => {
    const secret = paired(before, text)
    if (secret === undefined)
      throw fail('io', before ? `this is not the secret of the cluster ${before}` : 'the id of its cluster is lost')
    return secret
  })
  const id = kept === undefined ? hexId(random, 32) : before
  const secret = kept ?? make()
  const counters = new Counters(restored, saver)
  saver?.save('id', () => `${id}\n`)
  saver?.save('secret', () => `${id} ${secret}\n`)
  return { id, secret, known: before !== '', restored, saver, counters }
}

/** Restores the sessions and the settings of an earlier orchestrator. What is damaged is set aside. */
export function restore(root: Root, { restored }: State, self: User): void {
  for (const name of restored.names) {
    const [, number] = sessionFile.exec(name) ?? []
    if (number !== undefined) restored.read(name, text => root.sessions.restore(number, text))
  }
  restored.read('ctl', text => {
    const failures = root.restoreSettings(text, { user: self, signal: new AbortController().signal })
    if (failures === 0) return
    // the file is kept aside because it is now written again, without the lines that could not be set
    restored.setAside('ctl', fail('io', `${failures} of its lines are not valid`))
    root.keepSettings()
  })
}
