import { fail, toFsError } from '../../fs/errors.js'
import type { User } from '../../fs/file.js'
import { ORDWR } from '../../fs/protocol.js'
import type { EmbedRequest } from '../root/embed.js'
import type { Embedded } from '../root/root.js'
import type { Member } from './member.js'

const PIECE = 128 * 1024

/**
 * Vectors for texts, of the worker with the least to do; of the next where it goes meanwhile.
 * @throws FsError `no worker serves MODEL`, `no model is loaded`, or what the worker said
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
      return await on(member, request, user, signal)
    } catch (error) {
      failure = toFsError(error)
      if (!failure.is('hungUp')) throw failure
    }
  }
  throw failure
}

async function on(member: Member, request: EmbedRequest, user: User, signal: AbortSignal): Promise<Embedded> {
  const root = await member.peer.as(user)
  const { fid } = await root.ask(['embed'], fid => fid.open(ORDWR, signal), signal)
  try {
    await fid.write(0, new TextEncoder().encode(JSON.stringify(request)), signal)
    const parts: Uint8Array[] = []
    for (let at = 0; at === 0 || parts.at(-1)!.length > 0; at += parts.at(-1)!.length)
      parts.push(await fid.read(at, PIECE, signal))
    return JSON.parse(Buffer.concat(parts).toString()) as Embedded
  } finally {
    fid.clunk().catch(() => undefined)
  }
}
