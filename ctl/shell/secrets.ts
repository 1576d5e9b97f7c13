/** Finds secrets by a pattern: by what comes before them, or by how they look. */

/** A part of a text that is a secret, and the rule that found it. */
export interface Span {
  readonly from: number
  readonly to: number
  readonly rule: string
}

/** A name that says that its value is a secret, alone or as a part of a longer name. */
export const SECRET =
  '(?:token|secret|passw(?:or)?d|passphrase|passcode|(?:api|access|account|shared|signing|encryption|master)[_-]?key|private[_-]?key|license[_-]?key|credentials?|auth(?!or)|bearer)'

/** Shorter names, which mean a secret only if they are the whole name, or come after a _ or -. */
const SHORT = '(?:pass|pwd|pw|psk|sig)'

/** A value: quoted, also with escaped quotes, or up to the next space without punctuation at its end. */
const VALUE = String.raw`(?:\\"[^"\\\n]*|"(?:[^"\\\n]|\\.)*"?|'[^'\n]*'?|[^\s&;|"']*[^\s&;|"',)\]}])`

/** A few spaces: the text may come from anybody, and no pattern may search all of it from each start. */
const BLANKS = '[ \\t]{0,8}'

interface Pattern {
  readonly rule: string
  /** The first group is the part of a match that stays: it shows that the rest is a secret. */
  readonly pattern: RegExp
}

const pattern = (rule: string, source: string, flags = 'g'): Pattern => ({ rule, pattern: new RegExp(source, flags) })

/**
 * Tokens of services, by how they look: a service, and the pattern of its tokens. All of them begin where a word does.
 */
const services: readonly (readonly [service: string, token: string])[] = [
  ['OpenAI, Anthropic and others', String.raw`sk-[\w-]{16,}`],
  ['Stripe', String.raw`(?:sk|rk|pk)_(?:live|test|prod)_\w{8,}|whsec_[\w+/=]{16,}`],
  ['GitHub', String.raw`gh[pousr]_\w{20,}|github_pat_\w{20,}`],
  ['GitLab', String.raw`gl(?:pat|dt|rt|cbt|ptt|ft|soat|imt|agent|oas|ffct)-[\w.-]{16,}|GR1348941[\w-]{20}`],
  ['Slack', String.raw`xox[a-z](?:\.xox[a-z])?-[\w-]{10,}|xapp-\d-[\w-]{10,}`],
  ['AWS', String.raw`(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}|ABSK[A-Za-z0-9+/]{100,}={0,2}`],
  ['Google', String.raw`AIza[\w-]{30,}|GOCSPX-[\w-]{20,}|ya29\.[\w-]{20,}|1\/\/0[\w-]{30,}`],
  ['Hugging Face', String.raw`(?:hf|api_org)_\w{20,}`],
  ['npm, PyPI, RubyGems, Clojars', String.raw`npm_\w{20,}|pypi-[\w-]{50,}|rubygems_[0-9a-f]{40,}|CLOJARS_\w{50,}`],
  ['Docker', String.raw`dckr_(?:pat|oat)_[\w-]{20,}`],
  ['DigitalOcean', String.raw`do[oprt]_v1_[0-9a-f]{40,}`],
  ['Doppler', String.raw`dp\.(?:pt|st|ct|sa|scim|audit)\.[\w.]{20,}`],
  ['HashiCorp', String.raw`hv[sbr]\.[\w-]{20,}|\w{14}\.atlasv1\.[\w=-]{40,}`],
  ['Shopify', String.raw`shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}`],
  ['Square', String.raw`sq0(?:atp|csp)-[\w-]{20,}|EAAA[\w-]{56,}`],
  ['SendGrid, Mailgun, Mailchimp', String.raw`SG\.[\w-]{16,}\.[\w-]{16,}|key-[0-9a-f]{32}|[0-9a-f]{32}-us\d{1,2}`],
  ['Twilio', String.raw`SK[0-9a-f]{32}`],
  ['Atlassian', String.raw`ATATT3[\w=-]{50,}|ATBB\w{20,}`],
  ['Linear, Notion, Postman, Figma', String.raw`lin_(?:api|oauth)_\w{20,}|ntn_\w{30,}|PMAK-[\w-]{30,}|figd_[\w-]{20,}`],
  ['Grafana, New Relic, Sentry', String.raw`gl(?:sa|c)_[\w+/=]{20,}|NRAK-[A-Z0-9]{20,}|sntr[yu]s_[\w+/=]{30,}`],
  ['Databricks, Pulumi, Supabase', String.raw`dapi[0-9a-f]{32}|pul-[0-9a-f]{40}|sb(?:p|_secret)_\w{20,}`],
  ['Fly, Netlify, Heroku', String.raw`fo1_[\w-]{40,}|nf[pcoub]_\w{30,}|HRKU-[\w-]{30,}`],
  [
    'Groq, Replicate, Perplexity, xAI, NVIDIA',
    String.raw`gsk_\w{20,}|r8_\w{30,}|pplx-\w{30,}|xai-\w{40,}|nvapi-[\w-]{40,}`,
  ],
  ['Tailscale, ngrok', String.raw`tskey-[\w-]{16,}`],
  [
    '1Password, age',
    String.raw`ops_eyJ[\w+/=]{40,}|A3-[A-Z0-9]{6}(?:-[A-Z0-9]{5,11}){3,5}|AGE-SECRET-KEY-1[A-Z0-9]{40,}`,
  ],
  ['Alibaba, Tencent', String.raw`LTAI[A-Za-z0-9]{12,}|AKID[A-Za-z0-9]{13,}`],
  ['Telegram', String.raw`\d{8,10}:AA[\w-]{32,}`],
  ['Discord', String.raw`[MNO][\w-]{23,25}\.[\w-]{6}\.[\w-]{27,}`],
  ['Airtable', String.raw`pat\w{14}\.[0-9a-f]{64}`],
  ['llambo', String.raw`llb_[\w-]{8,}`],
  ['a JSON web token', String.raw`eyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?`],
]

/** All rules. Their order does not matter: what several of them find is taken out once. */
const patterns: readonly Pattern[] = [
  pattern(
    'a private key',
    String.raw`()-----BEGIN [A-Z0-9 ]{0,32}PRIVATE KEY[A-Z ]{0,32}-----[\s\S]*?(?:-----END [A-Z0-9 ]{0,64}-----|$)`,
  ),
  pattern('a private key', String.raw`()PuTTY-User-Key-File-\d[\s\S]*?(?:Private-MAC:[^\n]*|$)`),
  pattern(
    'a header',
    String.raw`\b((?:(?:proxy-)?authorization|x-[a-z-]{0,40}(?:key|token|secret|signature)|(?:set-)?cookie|(?:private|job|deploy|api)-(?:key|token))${BLANKS}:${BLANKS})[^\n"']+`,
    'gi',
  ),
  pattern('bearer', String.raw`\b((?:bearer|basic)[ \t]{1,8})[\w.~+/=-]{8,}`, 'gi'),
  pattern(
    'user and password of a URL',
    String.raw`\b([a-z][a-z0-9+.-]{0,31}:\/\/[^\s/:@]{0,256}:)[^\s/@]{1,1024}(?=@)`,
    'gi',
  ),
  pattern('the user of a URL', String.raw`\b(https?:\/\/)[^\s/:@'"]{1,1024}(?=@)`, 'gi'),
  pattern(
    'a parameter of a URL',
    String.raw`([?&](?:[\w.-]{0,40}?(?:${SECRET}|signature|credential|sig|pwd|pass)|key|code|sas)=)[^\s&"'#]+`,
    'gi',
  ),
  pattern(
    'a webhook',
    String.raw`\b((?:hooks\.slack\.com\/[a-z]{1,16}|discord(?:app)?\.com\/api\/webhooks|[\w.-]{0,64}webhook\.office\.com|api\.telegram\.org)\/)[^\s"']+`,
    'gi',
  ),
  // NAME_TOKEN=…, "api_key": "…", token: …
  pattern('NAME=VALUE', String.raw`\b(\w{0,64}${SECRET}\w{0,64}(?:\\?["'])?${BLANKS}[=:]${BLANKS})${VALUE}`, 'gi'),
  // pw=…, MYSQL_PWD=…, but not PWD=/home/ann
  pattern('NAME=VALUE', String.raw`\b((?:\w{0,64}[_-])?${SHORT}${BLANKS}=${BLANKS})(?![/~])${VALUE}`, 'gi'),
  pattern('NAME=VALUE', String.raw`(["'](?:\w{0,64}[_-])?${SHORT}\\?["']${BLANKS}:${BLANKS})${VALUE}`, 'gi'),
  pattern('pass:VALUE', String.raw`(?<![\w.])(pass:)[^\s"']+`),
  pattern('SQL', String.raw`\b((?:identified[ \t]{1,4}by|password)[ \t]{1,4})'[^'\n]+'?`, 'gi'),
  pattern(
    'netrc',
    String.raw`\b(machine[ \t]{1,8}\S{1,256}[ \t]{1,8}login[ \t]{1,8}\S{1,256}[ \t]{1,8}password[ \t]{1,8})\S+`,
  ),
  ...services.map(([service, token]) => pattern(service, String.raw`(?<![A-Za-z0-9])()(?:${token})`)),
]

/** Adds the secrets that the patterns find in a text. */
export function bySight(text: string, add: (span: Span) => void): void {
  for (const { rule, pattern } of patterns) {
    for (const found of text.matchAll(pattern)) {
      const from = found.index + found[1]!.length
      const to = found.index + found[0].length
      if (to > from) add({ from, to, rule })
    }
  }
}
