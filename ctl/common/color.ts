import { Chalk, type ChalkInstance } from 'chalk'

export type ColorChoice = 'auto' | 'always' | 'never'

/**
 * Colours for one stream: none when it is no terminal, when NO_COLOR is set to anything but nothing (no-color.org; chalk 5
 * does not look at it) or with `--no-color`; always with `--color`.
 */
export function colors(stream: { isTTY?: boolean }, choice: ColorChoice, env: NodeJS.ProcessEnv): ChalkInstance {
  const terminal = stream.isTTY === true && env.TERM !== 'dumb' && !env.NO_COLOR
  return new Chalk({ level: choice === 'always' || (choice === 'auto' && terminal) ? 1 : 0 })
}
