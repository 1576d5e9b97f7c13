/** A host for tests: it reports the ends of workers, and starts none. */
import type { File } from '../../../fs/file.js'
import { text } from '../../../fs/kit/content.js'
import { ctl, type Verb } from '../../../fs/kit/ctl.js'
import { dir } from '../../../fs/kit/dir.js'
import { EventLog } from '../../../fs/kit/event-log.js'
import { serve } from '../../../fs/server/server.js'
import { transportPair } from '../../../fs/transport/pair.js'
import type { Rig } from './fixture.js'

const owner = { name: 'root', uid: 0 }

/**
 * Joins a host to the cluster.
 * @param held called for each `hold` that the cluster sends
 * @returns a function with which the host reports that a worker has crashed
 */
export default async function host(
  cluster: Rig,
  held: (id: string, model: string) => void = () => undefined,
): Promise<(boot: string, signal: string, error?: string) => void> {
  const events = new EventLog()
  const hold: Verb = {
    usage: 'ID MODEL',
    check:
      ([id = '', model = '']) =>
      () =>
        held(id, model),
  }
  const verbs = { hold }
  const workers = cluster.members.map(({ id }) => `worker id=${id} state=running\n`).join('')
  const own = 'class name=default model=red\n'
  const root = dir(
    new Map<string, File>([
      ['ctl', ctl({ owner, verbs, read: () => '' })],
      [
        'status',
        text(() => `server name=alpha kind=host id=host-alpha boot=b version=0.0.0\n${workers}${own}`, { owner }),
      ],
      ['events', events.file(owner, 0o444)],
      ['event', events.stream(owner, 0o444)],
    ]),
    owner,
  )
  const [near, far] = transportPair()
  serve(far, { attachOptions: ['role'], attach: () => ({ root, user: { ...owner, role: 'admin' } }) })
  await cluster.cluster.join(near)
  return (boot, signal, error) => events.add('worker-exited', { id: 'x', boot, signal, cause: 'crashed', error })
}
