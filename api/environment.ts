/** Variables of the environment that name a server, a model, and what lets one in. Settings have their own (ctl/common/settings.ts). */
import { fail } from '../fs/errors.js'

/** Characters of an address or a path, and of a token or a key: those of some providers have over a thousand. */
const MAX_TEXT = 4096

const printable = { pattern: /^\P{Cc}+$/u, takes: 'printable characters' }
const credential = { pattern: /^[!-~]+$/, takes: 'printable ASCII without blanks' }

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
 * What a variable holds, without blanks around it; undefined where it is not set, or empty.
 * @throws FsError `bad argument` that names the variable and what it may hold; not what it holds, which may be a secret
 */
export function variable(env: Env, name: keyof typeof variables): string | undefined {
  const { pattern, takes, most } = variables[name]
  const given = env[name]
  if (given === undefined || given === '') return undefined
  // what is far too long is not even trimmed
  const value = given.length > 2 * most ? given : given.trim()
  if (value === '') return undefined
  if (value.length > most || !pattern.test(value))
    throw fail('badArgument', `$${name}: up to ${most} ${takes}; unset ${name}, or set it again`)
  return value
}
