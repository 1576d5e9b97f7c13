/**
 * `llamboctl completion`: generates the completion scripts for bash, zsh and fish, and prints the names that they ask
 * for.
 */
import type { Command as Commander } from 'commander'
import { hostStatus, status } from '../../api/status.js'
import type { Command, Kind, Run } from '../../cli/command.js'
import { usage } from '../../cli/exit.js'
import { entries, readText } from '../../cli/files.js'
import type { Invocation } from '../../cli/invocation.js'
import { program } from '../../cli/program.js'

interface Word {
  readonly word: string
  readonly help: string
}

/** A command and the words that may follow it, taken from commander's own tree. */
interface Level {
  /** The command with those above it: `llamboctl`, `llamboctl cat`, `llamboctl config show`. */
  readonly path: string
  readonly commands: readonly Word[]
  readonly options: readonly (Word & {
    readonly values: readonly string[]
    readonly takesValue: boolean
    readonly kind: Kind | undefined
  })[]
  /** The kinds of its arguments, in order. `none`: it takes no arguments, so that not even files are offered. */
  readonly takes: readonly (Kind | 'none')[]
  /** Other names for the last word of the path. */
  readonly aliases: readonly string[]
}

/** Puts a text on one line. */
const plain = (help: string) => help.replace(/\s+/g, ' ')

/** Quotes a text for zsh. */
const zshQuoted = (text: string) => `'${text.replaceAll("'", String.raw`'\''`)}'`
/** Quotes a text for fish, where a backslash is special between single quotes too. */
const fishQuoted = (text: string) => `'${text.replace(/[\\']/g, String.raw`\$&`)}'`

function levels(command: Commander, row: Command, path = row.name): Level[] {
  const help = command.createHelp()
  const global = command.parent ? help.visibleGlobalOptions(command) : []
  const own: Level = {
    path,
    takes: row.takes ?? (row.args === undefined || row.commands ? ['none'] : []),
    aliases: row.aliases ?? [],
    commands: help.visibleCommands(command).map(child => ({ word: child.name(), help: plain(child.description()) })),
    options: [...help.visibleOptions(command), ...global].flatMap(option =>
      [option.long, option.short].flatMap(word =>
        word
          ? [
              {
                word,
                help: plain(option.description),
                values: option.argChoices ?? [],
                takesValue: option.required,
                kind: option.long === '--model' ? ('model' as const) : undefined,
              },
            ]
          : [],
      ),
    ),
  }
  const rows = row.commands ?? []
  return [own, ...rows.flatMap((child, i) => levels(command.commands[i]!, child, `${path} ${child.name}`))]
}

/** The paths of a command: one for each of its names. */
const pathsOf = ({ path, aliases }: Level) => [path, ...aliases.map(alias => path.replace(/\S+$/, alias))]

const words = (list: readonly Word[]) => list.map(({ word }) => word).join(' ')

/** How a script asks the server for names. The time limit keeps a slow server from blocking the person who types. */
const ASK = 'timeout 1 llamboctl'

/** One clause of a shell's `case`; nothing where there are no patterns. */
const clause = (patterns: readonly string[], does: string) =>
  patterns.length ? `      ${patterns.map(pattern => `'${pattern}'`).join('|')}) ${does} ;;\n` : ''

function bash(all: readonly Level[], names: readonly string[]): string {
  const below = all
    .filter(({ path }) => path.includes(' '))
    .map(level => clause(pathsOf(level), `path='${level.path}' n=0; continue`))
  const valued = all.flatMap(({ path, options }) => options.filter(o => o.takesValue).map(o => `${path} ${o.word}`))
  const values = all.flatMap(({ path, options }) =>
    options
      .filter(o => o.takesValue)
      .map(o =>
        clause(
          [`${path} ${o.word}`],
          `words='${o.values.join(' ')}' kind=${o.values.length ? 'word' : (o.kind ?? "''")}`,
        ),
      ),
  )
  return `# llamboctl completion bash; in ~/.bashrc: source <(llamboctl completion bash)
_llambo() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]} path=\${COMP_WORDS[0]##*/} words='' options='' takes='' kind='' word skip='' n=0
  COMPREPLY=()
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    if [[ $skip ]]; then skip=''; continue; fi
    case "$path $word" in
${below.join('')}${clause(valued, 'skip=1; continue')}    esac
    [[ $word == -* ]] || n=$((n + 1))
  done
  case $path in
${all.map(level => clause([level.path], `words='${words(level.commands)}' options='${words(level.options)}' takes='${level.takes.join(' ')}'`)).join('')}  esac
  takes=($takes)
  if (( \${#takes[@]} )); then kind=\${takes[n]:-word}; fi
  case "$path $prev" in
${values.join('')}  esac
  # what the server says is compared, never expanded
  offer() { while IFS= read -r word; do if [[ $word && $word == "$cur"* ]]; then COMPREPLY+=("$word"); fi; done; }
  case $cur in
    -*) offer <<< "\${options// /$'\\n'}" ;;
    /n/llambo/*) offer < <(${ASK} ls "\${cur%/*}/" 2>/dev/null | while IFS= read -r word; do printf '%s\\n' "\${cur%/*}/$word"; done) ;;
    *)
      offer <<< "\${words// /$'\\n'}"
      case $kind in
        worker|class|model|strategy|shell) offer < <(${ASK} completion --values "$kind" 2>/dev/null) ;;
        '') offer < <(compgen -f -- "$cur") ;;
      esac ;;
  esac
  unset -f offer
}
complete -o filenames -F _llambo ${names.join(' ')}
`
}

function zsh(all: readonly Level[], names: readonly string[]): string {
  const describe = (list: readonly Word[]) =>
    list.map(({ word, help }) => zshQuoted(`${word}:${help.replaceAll(':', String.raw`\:`)}`)).join(' ')
  const below = all
    .filter(({ path }) => path.includes(' '))
    .map(level => clause(pathsOf(level), `path_='${level.path}' n=1; continue`))
  const valued = all.flatMap(({ path, options }) => options.filter(o => o.takesValue).map(o => `${path} ${o.word}`))
  const values = all.flatMap(({ path, options }) =>
    options
      .filter(o => o.takesValue)
      .map(o =>
        clause(
          [`${path} ${o.word}`],
          o.kind
            ? `takes=(${o.kind}) n=1`
            : o.values.length
              ? `compadd -- ${o.values.join(' ')}; return`
              : '_files; return',
        ),
      ),
  )
  return `#compdef ${names.join(' ')}
# llamboctl completion zsh > a file _llamboctl in $fpath, or in ~/.zshrc: source <(llamboctl completion zsh)
_llambo() {
  local path_=\${words[1]:t} word skip=
  integer n=1
  local -a list takes found
  for word in \${words[2,CURRENT-1]}; do
    if [[ -n $skip ]]; then skip=; continue; fi
    case "$path_ $word" in
${below.join('')}${clause(valued, 'skip=1; continue')}    esac
    [[ $word == -* ]] || (( n++ ))
  done
  case $path_ in
${all.map(l => clause([l.path], `list=(${describe([...l.commands, ...l.options])}) takes=(${l.takes.join(' ')})`)).join('')}  esac
  [[ $PREFIX == -* ]] || list=(\${list:#-*})
  case "$path_ \${words[CURRENT-1]}" in
${values.join('')}  esac
  (( $#list )) && _describe "$path_" list
  case \${takes[n]:-\${takes:+none}} in
    worker|class|model|strategy|shell)
      found=(\${(f)"$(_call_program values ${ASK} completion --values \${takes[n]} 2>/dev/null)"})
      compadd -a found ;;
    none) ;;
    *) _files ;;
  esac
}
(( $+functions[compdef] )) && compdef _llambo ${names.join(' ')}
`
}

function fish(all: readonly Level[]): string {
  const lines = all.flatMap(({ path, commands, options, takes }) => {
    const [name, ...below] = path.split(' ')
    const when = below.length
      ? `-n '__fish_seen_subcommand_from ${below.at(-1)}' `
      : commands.length
        ? `-n '__fish_use_subcommand' `
        : ''
    const start = `complete -c ${name} ${when}`
    return [
      ...commands.map(({ word, help }) => `${start}-f -a ${word} -d ${fishQuoted(help)}`),
      ...[...new Set(takes)].map(kind =>
        kind === 'none' ? `${start}-f` : `${start}-f -a '(${ASK} completion --values ${kind} 2>/dev/null)'`,
      ),
      ...options.map(({ word, help, values, takesValue, kind }) => {
        const flag = word.startsWith('--') ? `-l ${word.slice(2)}` : `-s ${word.slice(1)}`
        const these = kind ? `(${ASK} completion --values ${kind} 2>/dev/null)` : values.join(' ')
        const value = these ? ` -x -a '${these}'` : takesValue ? ' -r' : ''
        return `${start}${flag}${value} -d ${fishQuoted(help)}`
      }),
    ]
  })
  return `# llamboctl completion fish > ~/.config/fish/conf.d/llambo.fish\n${lines.join('\n')}\n`
}

const shells: Record<string, (all: readonly Level[], names: readonly string[]) => string> = { bash, zsh, fish }

/** How the current names of each kind are found. */
const kinds: Readonly<Record<Kind, (io: Invocation) => Promise<readonly string[]>>> = {
  worker: io => named(io, 'worker'),
  model: io => named(io, 'model'),
  class: async io => {
    const { root, client } = await io.connect()
    const hosts = await entries(root, ['host'], io.signal)
    const all = await Promise.all(hosts.map(({ name }) => readText(root, ['host', name, 'status'], io.signal)))
    client.close()
    return [...new Set(all.flatMap(text => hostStatus.read(text).class.map(({ name }) => name)))]
  },
  shell: async () => Object.keys(shells),
  strategy: async () => (await import('../../cluster/orchestrator/dispatch/routing.js')).strategies,
}

async function named(io: Invocation, word: 'worker' | 'model'): Promise<string[]> {
  const { root, client } = await io.connect()
  const text = await readText(root, ['status'], io.signal)
  client.close()
  return status.read(text)[word].map(({ name }) => name)
}

/** @param programs gives all programs; it is called late, because their table names this command */
export const completion =
  (programs: () => readonly Command[]): Run =>
  async (io, [shell = ''], { values }) => {
    if (values) {
      const names = await kinds[values as Kind](io)
      // the scripts insert names unquoted: a name that a shell would split or expand is not offered
      return io.print(
        names
          .filter(name => /^[\w.:@%+,-]+$/.test(name))
          .map(name => `${name}\n`)
          .join(''),
      )
    }
    const script = shells[shell]
    if (!script) {
      const known = Object.keys(shells)
      throw usage(
        shell
          ? `no shell "${shell}"; shells: ${known.join(' ')}`
          : `missing argument; usage: llamboctl completion ${known.join('|')}`,
      )
    }
    const all = programs().flatMap(row =>
      levels(
        program(row, async () => {}),
        row,
      ),
    )
    await io.print(
      script(
        all,
        programs().map(({ name }) => name),
      ),
    )
  }
