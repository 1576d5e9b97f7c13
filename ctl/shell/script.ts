import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { runtimeDir } from '../common/paths.js'

/** The agent's socket in the runtime directory. */
export const SOCKET = 'shell.sock'

/** A word for a shell, whatever is in it. */
const quoted = (word: string) => `'${word.replaceAll("'", String.raw`'\''`)}'`

/** What `eval` is given: where the agent is and what starts it, and the script of that shell. */
export function script(shell: 'zsh' | 'bash', env: NodeJS.ProcessEnv): string {
  const file = new URL(`../../../ctl/shell/llambo.${shell}`, import.meta.url)
  const start = [process.execPath, process.argv[1]!, 'shell', 'agent'].map(quoted).join(' ')
  const socket = quoted(join(runtimeDir(env), SOCKET))
  return `_llambo_start=(${start})\n_llambo_socket=${socket}\n${readFileSync(file, 'utf8')}`
}
