/** A model of a 9P server, which decides whether the replies to racing requests are possible in some order. */
import type { Msg, RMessage, TMessage } from '../../fs/wire/message.js'
import { NOFID, OREAD } from '../../fs/wire/protocol.js'

/**
 * One request as it went over the wire: when it was sent, and when and how it was answered. A flushed request may have
 * no reply.
 */
export interface Call {
  readonly m: TMessage
  readonly sent: number
  answered: number
  reply: RMessage | undefined
}

type Answered = Call & { reply: RMessage }

/** A fid in the model: its file, and its mode once it is open. */
interface Fid {
  readonly path: string
  readonly mode?: number
}

interface State {
  readonly fids: ReadonlyMap<number, Fid>
  /** Removes whose fid is gone but whose file is not removed yet, by tag, with the file's path. */
  readonly removing: ReadonlyMap<number, string | undefined>
  readonly removed: ReadonlySet<string>
}

/** The paths of the tree; a directory's path ends in `/`. */
export const paths = ['/', '/a', '/d/', '/d/b', '/d/e/'] as const
/** What a read of a file returns, and the file's qid path. */
export const content = (path: string) => `this is ${path}`
export const qidPath = (path: string) => BigInt(paths.indexOf(path as (typeof paths)[number]) + 1)
export const nameOf = (path: string) => path.split('/').filter(Boolean).at(-1) ?? '/'

/** The path of a name in a directory; undefined if the tree has no such file. */
export function step(path: string, name: string): string | undefined {
  if (name === '..') return path.slice(0, path.slice(0, -1).lastIndexOf('/') + 1) || '/'
  if (!path.endsWith('/')) return undefined
  return paths.find(p => p === path + name || p === `${path + name}/`)
}

const interrupted = (reply: RMessage) => reply.type === 'Rerror' && reply.ename === 'interrupted'
const failed = (reply: RMessage) => reply.type === 'Rerror'

/**
 * Carries out one request: returns the state after it, or undefined if 9P does not allow this reply to it.
 * @param beside true for a clunk of a fid that was being created by a request that then failed because of it, and for a
 *   remove that was interrupted or whose fid another request was using: the fid goes, the file stays
 */
function after(state: State, { m, reply }: Answered, beside: boolean): State | undefined {
  const fids = new Map(state.fids)
  const next = { ...state, fids }
  const fid = 'fid' in m ? fids.get(m.fid) : undefined
  const ok = (possible: boolean, right: boolean) => (possible ? !failed(reply) && right : failed(reply))
  switch (m.type) {
    case 'Tattach': {
      const free = !fid && m.fid !== NOFID
      if (free) fids.set(m.fid, { path: '/' })
      return ok(free, true) ? next : undefined
    }
    case 'Twalk': {
      const may = fid && !(fid.mode !== undefined && (m.wname.length > 0 || m.fid === m.newfid))
      const free = m.fid === m.newfid || !fids.has(m.newfid)
      const walked: string[] = []
      for (const name of m.wname) {
        const path = step(walked.at(-1) ?? fid?.path ?? '', name)
        if (path === undefined || (name !== '..' && state.removed.has(path))) break
        walked.push(path)
      }
      const possible = may && free && (walked.length > 0 || m.wname.length === 0)
      if (possible && walked.length === m.wname.length) fids.set(m.newfid, { path: walked.at(-1) ?? fid.path })
      const right = reply.type === 'Rwalk' && reply.wqid.map(q => q.path).join() === walked.map(qidPath).join()
      return ok(possible === true, right) ? next : undefined
    }
    case 'Topen': {
      const possible = fid && fid.mode === undefined && !(fid.path.endsWith('/') && m.mode !== OREAD)
      if (possible) fids.set(m.fid, { ...fid, mode: m.mode })
      const right = reply.type === 'Ropen' && reply.qid.path === qidPath(fid?.path ?? '')
      return ok(possible === true, right) ? next : undefined
    }
    case 'Tread': {
      const readable = fid?.mode !== undefined && (fid.mode & 3) !== 1
      if (fid?.path.endsWith('/')) return ok(readable, true) ? next : undefined
      const right = reply.type === 'Rread' && Buffer.from(reply.data).toString() === content(fid?.path ?? '')
      return ok(readable, right) ? next : undefined
    }
    case 'Twrite':
      return ok(fid?.mode !== undefined && (fid.mode & 3) !== OREAD, true) ? next : undefined
    case 'Tstat': {
      const right = reply.type === 'Rstat' && reply.stat.name === nameOf(fid?.path ?? '')
      return ok(fid !== undefined, right) ? next : undefined
    }
    case 'Tclunk':
      return (fids.delete(m.fid) || beside) === !failed(reply) ? next : undefined
    case 'Tremove': {
      // a remove has two steps, between which other requests may be served: a clunk, then the removal of the file
      if (!state.removing.has(m.tag)) {
        fids.delete(m.fid)
        return { ...next, removing: new Map(state.removing).set(m.tag, fid?.path) }
      }
      if (beside && failed(reply)) return next
      const path = state.removing.get(m.tag)
      const possible = path !== undefined && !path.endsWith('/') && !state.removed.has(path)
      const removed = possible ? new Set([...state.removed, path]) : state.removed
      return ok(possible, true) ? { ...next, removed } : undefined
    }
    default:
      throw new Error(`the model has no ${m.type}`)
  }
}

const touched = (m: TMessage) => ('newfid' in m ? [m.fid, m.newfid] : 'fid' in m ? [m.fid] : [])
const made = (m: TMessage) => (m.type === 'Tattach' ? m.fid : m.type === 'Twalk' ? m.newfid : undefined)
const overlap = (a: Call, b: Call) => a !== b && a.sent < b.answered && b.sent < a.answered

/** Requests that need their fid exclusively: another request on it may be refused meanwhile. */
const alone = new Set<TMessage['type']>(['Tattach', 'Twalk', 'Topen', 'Tread', 'Tclunk', 'Tremove'])

/** A clunk or a remove that a Tversion cut off, as if it had been carried out. */
function orNot(call: Call): Answered[] {
  const { m } = call
  if (m.type === 'Tclunk') return [{ ...call, reply: { type: 'Rclunk', tag: m.tag } }]
  return m.type === 'Tremove' ? [{ ...call, reply: { type: 'Rremove', tag: m.tag } }] : []
}

/**
 * Whether there is an order of these requests in which each could have been answered as it was, one after the other,
 * and in which no request precedes one that was answered before it was sent. A request had no effect if it was refused
 * while another one was using its fid, if its fid's clunk aborted it, or if it was flushed without an answer. A request
 * that a Tversion cut off may have been carried out or not.
 * @param removed what was removed before
 */
export function inSomeOrder(calls: readonly Call[], removed: ReadonlySet<string> = new Set()): boolean {
  const answered = calls.filter((call): call is Answered => call.reply !== undefined)
  const refused = (call: Answered) =>
    failed(call.reply) &&
    calls.some(other => {
      const fids = touched(other.m)
      return overlap(call, other) && alone.has(other.m.type) && touched(call.m).some(fid => fids.includes(fid))
    })
  const did = answered.filter(call => call.m.type === 'Tremove' || !refused(call))
  const fruitless = calls.filter(
    ({ m, reply }) =>
      !reply || failed(reply) || (m.type === 'Twalk' && (reply as Msg<'Rwalk'>).wqid.length < m.wname.length),
  )
  const beside = new Set(
    did.filter(call => {
      const { m } = call
      if (m.type === 'Tremove') return refused(call) || interrupted(call.reply)
      return m.type === 'Tclunk' && fruitless.some(other => overlap(call, other) && made(other.m) === m.fid)
    }),
  )
  const twice = (call: Answered): Answered[] => {
    const again = { ...call }
    if (beside.has(call)) beside.add(again)
    return call.m.type === 'Tremove' ? [call, again] : [call]
  }
  const cutOff = new Set(
    calls
      .filter(call => call.answered === Number.POSITIVE_INFINITY)
      .flatMap(orNot)
      .flatMap(twice),
  )
  const seen = new Set<string>()
  const search = (left: readonly Answered[], state: State): boolean => {
    if (left.every(call => cutOff.has(call))) return true
    const key = `${left.map(call => call.sent)} ${JSON.stringify([...state.fids])} ${[...state.removing]} ${[...state.removed]}`
    if (seen.has(key)) return false
    seen.add(key)
    const first = Math.min(...left.map(call => call.answered))
    return left.some((call, i) => {
      const next = call.sent < first ? after(state, call, beside.has(call)) : undefined
      return next !== undefined && search(left.toSpliced(i, 1), next)
    })
  }
  return search([...did.flatMap(twice), ...cutOff], { fids: new Map(), removing: new Map(), removed })
}
