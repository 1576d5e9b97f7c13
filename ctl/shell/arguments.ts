/** Finds secrets by their place in a command: after an option, a name or another word. */

import { SECRET, type Span } from './secrets.js'

/** Where some programs take secrets. */
interface Row {
  readonly programs: readonly string[]
  /** The row counts only after one of these words: `docker login -p` takes a password, `docker run -p` a port. */
  readonly behind?: readonly string[]
  /**
   * Options that are followed by a secret: the secret is the next word, or is attached to an option of a single letter.
   */
  readonly options?: readonly string[]
  /** Options whose secret is attached to them: the next word would be something else. */
  readonly glued?: readonly string[]
  /** Options whose value has the secret after the first such sign, or is all secret if it has none. */
  readonly split?: readonly [sign: string, ...options: string[]]
  /** Words that are followed by a secret. */
  readonly words?: readonly string[]
  /** `NAME=SECRET`, whatever the name. */
  readonly pairs?: true
  /** The last word is a secret if at least this many words, options not counted, follow the program. */
  readonly last?: number
}

const rows: readonly Row[] = [
  {
    programs: [
      'docker',
      'podman',
      'nerdctl',
      'buildah',
      'skopeo',
      'crane',
      'oras',
      'helm',
      'az',
      'oc',
      'cf',
      'ibmcloud',
    ],
    behind: ['login'],
    options: ['-p'],
  },
  { programs: ['redis-cli', 'valkey-cli', 'redis-benchmark'], options: ['-a'], words: ['auth', 'AUTH', 'requirepass'] },
  {
    programs: ['sshpass', 'mongo', 'mongosh', 'mongodump', 'mongorestore', 'mongoexport', 'mongoimport'],
    options: ['-p'],
  },
  { programs: ['cqlsh', 'influx', 'twine', 'rdesktop', 'useradd', 'usermod', 'snmpget', 'snmpwalk'], options: ['-p'] },
  {
    programs: ['mysql', 'mysqldump', 'mysqladmin', 'mysqlimport', 'mysqlsh', 'mariadb', 'mariadb-dump'],
    glued: ['-p'],
  },
  { programs: ['7z', '7za', '7zr', '7zz', 'rar', 'unrar'], glued: ['-p', '-hp'] },
  {
    programs: ['zip', 'unzip', 'zipcloak', 'ipmitool', 'sqlcmd', 'bcp', 'mosquitto_pub', 'mosquitto_sub'],
    options: ['-P'],
  },
  { programs: ['xfreerdp', 'wlfreerdp', 'xfreerdp3'], glued: ['/p:'] },
  {
    programs: ['curl'],
    split: [':', '-u', '--user', '-U', '--proxy-user', '-E', '--cert'],
    options: ['-b', '--cookie'],
  },
  { programs: ['http', 'https', 'xh', 'xhs'], split: [':', '-a', '--auth'] },
  { programs: ['etcdctl', 'wget2'], split: [':', '--user'] },
  { programs: ['smbclient', 'smbget', 'smbmap', 'rpcclient', 'net', 'smbtree'], split: ['%', '-U', '--user'] },
  { programs: ['lftp'], split: [',', '-u', '--user'] },
  {
    programs: ['ldapsearch', 'ldapmodify', 'ldapadd', 'ldapdelete', 'ldapwhoami', 'ldappasswd'],
    options: ['-w', '-s'],
    behind: ['-D', '-x', '-w'],
  },
  { programs: ['snmpget', 'snmpwalk', 'snmpset', 'snmpbulkwalk'], options: ['-c', '-A', '-X'] },
  { programs: ['openssl'], options: ['-k', '-K'] },
  { programs: ['kubectl', 'oc', 'k3s'], split: ['=', '--from-literal'] },
  { programs: ['vault', 'bao'], behind: ['kv', 'write', 'login'], pairs: true, words: ['login'] },
  {
    programs: ['heroku', 'fly', 'flyctl', 'doppler', 'railway', 'op', 'gh', 'glab', 'supabase', 'wrangler'],
    behind: ['secret', 'secrets', 'config:set', 'variable', 'variables', 'item'],
    pairs: true,
    options: ['-b', '--body', '-v', '--value'],
  },
  { programs: ['aws', 'az'], behind: ['put-parameter', 'secret'], options: ['--value'] },
  { programs: ['rclone'], words: ['obscure'] },
  { programs: ['cargo'], words: ['login'] },
  { programs: ['ngrok'], words: ['authtoken', 'add-authtoken'] },
  { programs: ['nmcli', 'connmanctl'], words: ['password', 'psk', 'wifi-sec.psk', '802-11-wireless-security.psk'] },
  { programs: ['wpa_passphrase'], last: 2 },
  { programs: ['htpasswd'], behind: ['-b', '-bc', '-cb', '-bB', '-nb', '-nbB', '-Bbn', '-bBn'], last: 2 },
  { programs: ['rabbitmqctl'], behind: ['add_user', 'change_password'], last: 3 },
  { programs: ['pulumi'], behind: ['--secret'], last: 4 },
  { programs: ['composer'], behind: ['config'], last: 4 },
]

const byProgram = new Map<string, Row[]>()
for (const row of rows) for (const name of row.programs) byProgram.set(name, [...(byProgram.get(name) ?? []), row])

/** Words that are followed by a name and its value. */
const setters = new Set(
  'set setenv setx export declare typeset config configure put add store secret secrets variable env:set config:set secret:set'.split(
    ' ',
  ),
)

/** Options that say where a secret is, or of what kind it is, and are not followed by the secret itself. */
const about = /(?:file|path|stdin|type|kind|mode|name|url|env|id|expiry|ttl|length|policy|prompt|fd)$/i
const secretOption = new RegExp(String.raw`^--?[\w-]{0,64}?(?:${SECRET}[\w-]{0,64}|(?<!by)pass)$`, 'i')
const secretName = new RegExp(String.raw`^\S{0,128}?(?:${SECRET}(?:[._-][\w-]{0,32})?|_pass|_pwd|_pw)$`, 'i')
/** A name of several parts is not a word of a sentence. */
const compound = /[_.:/-]|[a-z][A-Z]/

/** Programs and options that read a secret from standard input: text that is echoed into them is a secret. */
const readers = new Set(['--password-stdin', '--passphrase-fd', '--stdin', '--with-token', 'chpasswd', 'passwd'])

interface Word {
  readonly from: number
  readonly to: number
  /** As written. */
  readonly raw: string
  /** Without quotes around it. */
  readonly text: string
}

/** The words of a text, and the separators between commands. Each character is looked at once. */
const lexeme = /(?:"(?:[^"\\\n]|\\[^\n])*"?|'[^'\n]*'?|\\[^\n]?|[^\s"'\\;&|])+|[;&|\n]+/g

/** Adds the secrets in the commands of a text, whether a command was typed or printed by a program. */
export function byPlace(text: string, add: (span: Span) => void, at = 0, depth = 0): void {
  let words: Word[] = []
  let before: readonly Word[] = []
  const end = (separator: string) => {
    inCommand(words, before, add)
    before = separator === '|' ? words : []
    words = []
  }
  for (const { 0: raw, index } of text.matchAll(lexeme)) {
    if (/^[;&|\n]/.test(raw)) {
      end(raw)
      continue
    }
    const quoted = /^(["'])[\s\S]*\1$/.test(raw) && raw.length > 1
    const text = quoted ? raw.slice(1, -1) : raw
    words.push({ from: at + index, to: at + index + raw.length, raw, text })
    // sh -c 'docker login -p …'
    if (quoted && depth < 2 && /\s/.test(text)) byPlace(text, add, at + index + 1, depth + 1)
  }
  end('')
}

function inCommand(words: readonly Word[], before: readonly Word[], add: (span: Span) => void): void {
  let known: readonly Row[] = []
  const seen = new Set<string>()
  let plain = 0
  let setter: string | undefined
  /** Whether only options have come after the first word. */
  let first = true
  let sudo = false
  let reads = false
  const whole = ({ from, to }: Word, rule: string) => add({ from, to, rule })
  /** Adds a word from a position to its end. */
  const rest = ({ from, to, raw }: Word, cut: number, rule: string) =>
    cut < raw.length && add({ from: from + cut, to, rule })
  words.forEach((word, i) => {
    const { text, raw } = word
    const next = words[i + 1]
    const value = next && !/^-[^\d]/.test(next.text) ? next : undefined
    const isOption = text.startsWith('-') || text.startsWith('/p:')
    const rows = isOption ? undefined : byProgram.get(/[\w.+-]+$/.exec(text)?.[0] ?? '')
    if (rows && (known.length === 0 || !seen.has(text))) {
      known = rows
      plain = 0
    } else if (!isOption) plain++
    seen.add(text)
    sudo ||= text === 'sudo'
    reads ||= readers.has(text) || (sudo && /^-[a-zA-Z]*S[a-zA-Z]*$/.test(text))
    for (const row of known) {
      if (row.behind && !row.behind.some(one => seen.has(one))) continue
      const rule = `${row.programs.find(name => seen.has(name)) ?? row.programs[0]} ${text.replace(/[=:].*$/s, '').slice(0, 24)}`
      for (const option of row.options ?? []) {
        if (text === option) value && whole(value, rule)
        else if (text.startsWith(option) && option.length === 2)
          rest(word, raw.indexOf(option) + 2, rule.slice(0, -text.length + 2))
        else if (text.startsWith(`${option}=`)) rest(word, raw.indexOf('=') + 1, rule)
      }
      for (const option of row.glued ?? [])
        if (text.startsWith(option) && text.length > option.length)
          rest(word, raw.indexOf(option) + option.length, option)
      if (row.split) {
        const [sign, ...options] = row.split
        const one = options.find(
          one => text === one || text.startsWith(`${one}=`) || (one.length === 2 && text.startsWith(one)),
        )
        const holder = one === undefined ? undefined : text === one ? value : word
        if (holder) {
          const begins = holder === word ? raw.indexOf(one!) + one!.length + (raw.includes(`${one}=`) ? 1 : 0) : 0
          const cut = holder.raw.indexOf(sign, begins)
          rest(holder, cut < 0 ? begins : cut + 1, `${one} USER${sign}SECRET`)
        }
      }
      if (row.words?.includes(text) && value) whole(value, rule)
      if (row.pairs && /^[\w.-]+=./s.test(text)) rest(word, raw.indexOf('=') + 1, 'NAME=VALUE')
      if (row.last !== undefined && plain >= row.last && i === words.length - 1 && !isOption)
        whole(word, 'the last word')
    }
    // --password …, --api-key=…, -storepass …
    const [option = ''] = text.split('=', 1)
    if (secretOption.test(option.slice(0, 160)) && !about.test(option)) {
      if (option !== text) rest(word, raw.indexOf('=') + 1, option)
      else if (value) whole(value, option)
    }
    // set -gx API_TOKEN …, aws configure set aws_secret_access_key …
    if (setter !== undefined && value && !isOption && text.length <= 160 && secretName.test(text)) {
      if (compound.test(text) || first) whole(value, setter)
    }
    if (setters.has(text)) setter ??= text
    if (i > 0 && !isOption) first = false
  })
  if (!reads) return
  for (const word of words) if (word.text.startsWith('<<<') && word.text.length > 3) rest(word, 3, 'a here-string')
  const echo = before.findIndex(({ text }) => /(?:^|[^\w-])(?:echo|printf)$/.test(text))
  if (echo >= 0)
    for (const word of before.slice(echo + 1)) if (!word.text.startsWith('-')) whole(word, 'standard input')
}
