/** Has a worker of the cluster compute embeddings. */
import { type Embedded, type EmbedRequest, embedText, parseEmbedded } from '../../../api/embed.js'
import { fail, toFsError } from '../../../api/errors.js'
import type { User } from '../../../fs/file.js'
import type { Member } from '../members/member.js'

/**
 * Asks the least loaded worker for the vectors of texts, and the next one if that worker disconnects meanwhile.
 * @throws FsError `no worker serves MODEL`, `no model is loaded`, or the worker's own error
 */
export async function embed(
  members: Iterable<Member>,
  request: EmbedRequest,
  user: User,
  signal: AbortSignal,
): Promise<Embedded> {
  const { model } = request
  const has = ({ report }: Member) => report.models.some(({ name, loaded }) => loaded && (model ?? name) === name)
  const able = [...members].filter(member => member.serving && has(member)).sort((a, b) => a.load - b.load)
  let failure = model === undefined ? fail('loading', 'no worker is ready') : fail('noWorker', model)
  for (const member of able) {
    try {
      return parseEmbedded(await member.peer.ask('embed', embedText(request), user, signal))
    } catch (error) {
      failure = toFsError(error)
      if (!failure.is('hungUp')) throw failure
    }
  }
  throw failure
}
