/** Joins this server's cluster to another cluster as one worker of it (`up --join`). */

import { explain, usage } from '../../cli/exit.js'
import { parseFingerprint } from '../../cli/fingerprint.js'
import type { Config } from '../../cli/settings.js'
import { namedToken } from '../../cli/tokens.js'
import { joinedOptions, joinedRoot, keepJoined } from '../../cluster/joining.js'
import type { Orchestrator } from '../../cluster/orchestrator/options.js'
import { systemClock } from '../../fs/base/clock.js'
import { serve } from '../../fs/server/server.js'
import { checkUpstream, dialUpstream } from './upstream.js'
import { parentsUser, self } from './users.js'

type Upstream = Parameters<typeof dialUpstream>[0]

/**
 * How to dial the cluster that this one joins as one worker (`join.address`); undefined where there is none.
 * @throws Failure (usage) for invalid settings, before anything starts
 */
export function parentOf(config: Config, env: NodeJS.ProcessEnv): Upstream | undefined {
  const { 'join.address': address, 'join.fingerprint': fingerprint } = config
  if (address === undefined) return undefined
  try {
    const pinned = fingerprint === undefined ? {} : { fingerprint: parseFingerprint(fingerprint) }
    checkUpstream({ address, ...pinned })
    const token = namedToken(env)
    return { address, ...pinned, ...(token !== undefined && { token }) }
  } catch (error) {
    throw usage(`--join: ${explain(error)}`)
  }
}

/** Keeps this cluster joined to another until the signal aborts. @returns when it has left */
export function joinParent(
  parent: Upstream,
  { root, failed, succeeded, secret }: Orchestrator,
  note: (line: string) => void,
  signal: AbortSignal,
): Promise<void> {
  let said = ''
  /** Reports a line unless it is the same as the last. */
  const tell = (line: string) => {
    if (line !== said) note(line)
    said = line
  }
  return keepJoined(
    {
      clock: systemClock,
      random: Math.random,
      dial: dialled => dialUpstream(parent, dialled),
      serve(transport) {
        tell(`joined ${parent.address}`)
        return serve(transport, {
          attachOptions: joinedOptions,
          attach: who => ({ root: joinedRoot(root, secret, self(), who.options), user: parentsUser(who) }),
          onfail: failed,
          onwrite: succeeded,
        })
      },
      onPause: error => error && tell(`not joined: ${explain(error)}; trying again`),
    },
    signal,
  )
}
