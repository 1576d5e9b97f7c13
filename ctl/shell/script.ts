/** The script that a shell evaluates to set up the sentinel. */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { runtimeDir } from '../../cli/paths.js'

/** The agent's socket in the runtime directory. */
export const SOCKET = 'shell.sock'

/** Quotes a word for a shell. */
const quoted = (word: string) => `'${word.replaceAll("'", String.raw`'\''`)}'`

/**
 * Wraps a script so that the shell reads it without the user's aliases, which would be expanded in it, and zsh also
 * with its own default options.
 */
const read: Readonly<Record<'zsh' | 'bash', (script: string) => string>> = {
  zsh: script => `emulate zsh -o no_aliases -c ${quoted(script)}\n`,
  bash: script =>
    `_llambo_aliases=$(shopt -p expand_aliases); shopt -u expand_aliases\n${script}eval "$_llambo_aliases"\n`,
}

/** The text for `eval`: where the agent is, how it is started, and the script for that shell. */
export function script(shell: 'zsh' | 'bash', env: NodeJS.ProcessEnv): string {
  const file = new URL(`../../../ctl/shell/llambo.${shell}`, import.meta.url)
  const start = [process.execPath, process.argv[1]!, 'shell', 'agent'].map(quoted).join(' ')
  const socket = quoted(join(runtimeDir(env), SOCKET))
  return `_llambo_start=(${start})\n_llambo_socket=${socket}\n${read[shell](readFileSync(file, 'utf8'))}`
}
