/** Decides whether a stream gets colours. */
import { Chalk, type ChalkInstance } from 'chalk'

export type ColorChoice = 'auto' | 'always' | 'never'

/**
 * The colours for one stream. `--color` always gives colours and `--no-color` never does. Otherwise a stream has
 * colours where it is a terminal that is not `dumb` and NO_COLOR is unset or empty (no-color.org; chalk 5 does not
 * check it).
 */
export function colors(stream: { isTTY?: boolean }, choice: ColorChoice, env: NodeJS.ProcessEnv): ChalkInstance {
  const terminal = stream.isTTY === true && env.TERM !== 'dumb' && !env.NO_COLOR
  return new Chalk({ level: choice === 'always' || (choice === 'auto' && terminal) ? 1 : 0 })
}
