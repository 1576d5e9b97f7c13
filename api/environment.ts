/**
 * Reads the environment variables that name a server, a model and credentials. Settings have their own variables
 * (cli/settings.ts).
 */
import { fail } from '../fs/base/errors.js'

/**
 * Most characters of an address or a path, and of a token or a key: the keys of some providers have more than a
 * thousand.
 */
const MAX_TEXT = 4096

const printable = { pattern: /^\P{Cc}+$/u, takes: 'printable characters' }
const credential = { pattern: /^[!-~]+$/, takes: 'printable ASCII characters other than spaces' }

const variables = {
  LLAMBO: { ...printable, most: MAX_TEXT },
  LLAMBO_TOKEN: { ...credential, most: MAX_TEXT },
  LLAMBO_TOKEN_FILE: { ...printable, most: MAX_TEXT },
  LLAMBO_FINGERPRINT: { ...printable, most: 128 },
  LLAMBO_SHELL_MODEL: { ...printable, most: 255 },
  OPENAI_API_KEY: { ...credential, most: MAX_TEXT },
} as const

type Env = Readonly<Record<string, string | undefined>>

/**
 * Reads a variable and trims it.
 * @returns its value; undefined if it is not set, or empty
 * @throws FsError `bad argument` that names the variable and the characters it may have, but not its value, which may
 *   be a secret
 */
export function variable(env: Env, name: keyof typeof variables): string | undefined {
  const { pattern, takes, most } = variables[name]
  const given = env[name]
  if (given === undefined || given === '') return undefined
  // a value that is far too long is refused below without being trimmed
  const value = given.length > 2 * most ? given : given.trim()
  if (value === '') return undefined
  if (value.length > most || !pattern.test(value))
    throw fail('badArgument', `$${name}: expected up to ${most} ${takes}; unset ${name}, or set it again`)
  return value
}
