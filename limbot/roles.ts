/** Roles: Markdown files with a system prompt, and with settings that suit it. */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { readBounded } from '../cli/bounded.js'
import { explain, usage } from '../cli/exit.js'
import { type Key, readConf } from '../cli/limbotconf.js'
import { configDir } from '../cli/paths.js'
import { noSuch } from '../cli/suggest.js'

/** A role that the model takes: a system prompt, and settings that suit it. */
export interface Role {
  readonly system: string
  readonly values: Map<Key, unknown>
}

/** Bytes of one role: a system prompt may be as long as a prompt. */
const MAX_ROLE = 1024 * 1024

/** The directory of the roles. */
export const rolesDir = (env: NodeJS.ProcessEnv): string => join(configDir(env), 'roles')

/** The names of all roles. */
export function roles(env: NodeJS.ProcessEnv): string[] {
  try {
    return readdirSync(rolesDir(env))
      .filter(name => name.endsWith('.md'))
      .map(name => name.slice(0, -3))
      .sort()
  } catch {
    return []
  }
}

/**
 * Reads roles/NAME.md: optional settings between lines of `---`, then the prompt.
 * @throws Failure (usage) that names the role and the existing ones, or the file, line and key
 */
export async function readRole(name: string, env: NodeJS.ProcessEnv): Promise<Role> {
  const file = join(rolesDir(env), `${name}.md`)
  let text: string
  try {
    text = readBounded(file, MAX_ROLE)
  } catch (error) {
    const known = roles(env)
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw usage(`${file}: ${explain(error)}`)
    throw usage(known.length ? noSuch('role', name, known) : `no role "${name}"; to make it, create ${file}`)
  }
  const [whole, matter] = /^---\r?\n([\s\S]*?)^---[ \t]*(?:\r?\n|$)/m.exec(text) ?? []
  if (matter === undefined || !text.startsWith('---')) return { system: text.trim(), values: new Map() }
  // a newline in place of the line `---`, so that line numbers are those of the file
  const { values, wrong } = await readConf(`\n${matter}`, file)
  if (wrong.length) throw usage(wrong.join('; '))
  return { system: text.slice(whole!.length).trim(), values }
}
