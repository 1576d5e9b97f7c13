/** What stands for a secret in what is sent. */
export const REDACTED = '[redacted]'

/** A value behind a name: quoted, or up to the next blank. */
const value = String.raw`(?:"[^"\n]*"?|'[^'\n]*'?|[^\s"'&;|]+)`
const secret = '(?:token|secret|passw(?:or)?d|passphrase|api_?-?key|access_?-?key|private_?-?key|credential|auth)'

/**
 * What looks like a secret, and what of it is kept. The order counts: whole blocks before what is in them. Repetitions have bounds: the
 * text is anybody's.
 */
const patterns: readonly (readonly [pattern: RegExp, kept: string])[] = [
  [/-----BEGIN [A-Z ]*PRIVATE KEY[A-Z ]*-----[\s\S]*?(?:-----END [A-Z ]*-----|$)/g, ''],
  // Authorization: Bearer …; Cookie: …; to the end of the line or of the quoted word
  [/\b((?:proxy-)?authorization|x-[a-z-]*(?:key|token)|(?:set-)?cookie)(\s*:\s*)[^\n"']+/gi, '$1$2'],
  [/\b(bearer|basic)(\s+)[\w.~+/=-]{8,}/gi, '$1$2'],
  // https://user:pass@host
  [/\b([a-z][a-z0-9+.-]*:\/\/[^\s/:@]*:)[^\s/@]+(?=@)/gi, '$1'],
  // NAME_TOKEN=…, "api_key": "…", token: …
  [new RegExp(String.raw`\b(\w{0,64}${secret}\w{0,64}["']?\s*[=:]\s*)${value}`, 'gi'), '$1'],
  // --password …, --api-key=…
  [new RegExp(String.raw`(?<![\w-])(--?[\w-]{0,64}?${secret}[\w-]{0,64}(?:=|\s+))${value}`, 'gi'), '$1'],
  // curl -u user:pass, --user user:pass
  [/(\s(?:-u\s*|--(?:proxy-)?user[= ])['"]?[^\s:'"]+:)[^\s'"]+/g, '$1'],
  // sshpass -p …, mysql -p…
  [new RegExp(String.raw`\b(sshpass\s+-p\s*)${value}`, 'g'), '$1'],
  [new RegExp(String.raw`\b((?:mysql|mysqldump|mariadb|mysqladmin)\b[^\n|;&]{0,200}?\s-p)${value}`, 'g'), '$1'],
  // tokens known by their look: OpenAI, GitHub, GitLab, Slack, AWS, Google, Hugging Face, npm, llambo; JSON web tokens
  [/\bsk-[\w-]{16,}/g, ''],
  [/\b(?:gh[pousr]_\w{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}|xox[a-z]-[\w-]{10,}|(?:AKIA|ASIA)[A-Z0-9]{16})/g, ''],
  [/\b(?:AIza[\w-]{30,}|hf_\w{20,}|npm_\w{20,}|llb_[\w-]{8,})/g, ''],
  [/\beyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?/g, ''],
]

/** Values of the environment's variables whose names say that they are secrets. */
const own = (env: NodeJS.ProcessEnv): string[] =>
  Object.entries(env).flatMap(([name, value]) =>
    value !== undefined && value.length >= 8 && new RegExp(secret, 'i').test(name) && !value.startsWith('/')
      ? value
      : [],
  )

/**
 * A text without what looks like a secret: nothing that leaves the shell's own machine leaves it otherwise. It would rather take
 * too much.
 * @param env whose secrets are taken out wherever they stand
 */
export function redact(text: string, env: NodeJS.ProcessEnv = {}): string {
  for (const value of own(env)) text = text.replaceAll(value, REDACTED)
  for (const [pattern, kept] of patterns) text = text.replace(pattern, `${kept}${REDACTED}`)
  return text
}

/** Whether there is a secret in it. */
export const hasSecret = (text: string, env: NodeJS.ProcessEnv = {}): boolean => redact(text, env) !== text
