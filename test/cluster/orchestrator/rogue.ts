/** A joiner for tests that reports of itself whatever a test wants. */
import { joinedOptions, joinedRoot } from '../../../cluster/joining.js'
import type { File } from '../../../fs/file.js'
import { text } from '../../../fs/kit/content.js'
import { ctl } from '../../../fs/kit/ctl.js'
import { dir, generated } from '../../../fs/kit/dir.js'
import { EventLog } from '../../../fs/kit/event-log.js'
import { type Connection, serve } from '../../../fs/server/server.js'
import { transportPair } from '../../../fs/transport/pair.js'
import type { Rig } from './fixture.js'

const owner = { name: 'root', uid: 0 }

export interface Rogue {
  id: string
  /** Attributes of the server record in its status. */
  attrs?: Readonly<Record<string, string>>
  /** Further records in its status. */
  after?: string
  /** The text of `task/N/request`. */
  task?: () => string
  files?: ReadonlyMap<string, File>
  /** The secret that it shows; if omitted, it does not know that joiners have secrets. */
  secret?: string
}

/** The files of a rogue. */
export function rogueFiles({ id, attrs = {}, after = '', task = () => '', files = new Map() }: Rogue): File {
  const all = {
    name: 'worker-0000',
    kind: 'worker',
    id,
    boot: 'b',
    version: '0.0.0',
    host: 'far',
    slots: '1',
    ...attrs,
  }
  const server = `server ${Object.entries(all)
    .map(([key, value]) => `${key}=${value}`)
    .join(' ')}\n`
  const request = dir(new Map([['request', text(task, { owner })]]), owner)
  const events = new EventLog()
  const verb = { usage: '', check: () => () => undefined }
  return dir(
    new Map<string, File>([
      ['ctl', ctl({ owner, verbs: { name: verb, refused: verb, kill: verb }, read: () => '' })],
      ['status', text(() => server + after, { owner })],
      ['events', events.file(owner, 0o444)],
      ['event', events.stream(owner, 0o444)],
      ['task', generated({ owner, walk: () => request, list: () => [] })],
      ...files,
    ]),
    owner,
  )
}

/** Joins a rogue to the cluster. */
export function rogue(cluster: Rig, o: Rogue): Connection {
  const [near, far] = transportPair()
  const root = rogueFiles(o)
  const { secret } = o
  const session = serve(far, {
    attachOptions: secret === undefined ? ['role'] : joinedOptions,
    attach: ({ options }) => ({
      root: joinedRoot(root, secret ?? '', owner, options),
      user: { ...owner, role: 'admin' },
    }),
  })
  void cluster.cluster.join(near)
  return session
}
