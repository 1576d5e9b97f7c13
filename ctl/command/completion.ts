import type { Command as Commander } from 'commander'
import type { Run } from '../common/command.js'
import { usage } from '../common/exit.js'
import { program } from '../common/program.js'
import { llamboctl } from './table.js'

interface Word {
  readonly word: string
  readonly help: string
}

/** Every command with the words that may follow it, from commander's own tree. */
interface Level {
  /** `''` for llamboctl itself, else `cat`, `config show`. */
  readonly path: string
  readonly commands: readonly Word[]
  readonly options: readonly (Word & { readonly values: readonly string[]; readonly takesValue: boolean })[]
}

/** First sentence, fit for a quoted string in any of the three shells. */
const plain = (help: string) => help.replace(/['"`$\\[\]:;]/g, '').replace(/\s+/g, ' ')

function levels(command: Commander, path = ''): Level[] {
  const help = command.createHelp()
  const own: Level = {
    path,
    commands: help.visibleCommands(command).map(child => ({ word: child.name(), help: plain(child.description()) })),
    options: [...help.visibleOptions(command), ...(path ? help.visibleGlobalOptions(command) : [])].flatMap(option =>
      [option.long, option.short].flatMap(word =>
        word
          ? [{ word, help: plain(option.description), values: option.argChoices ?? [], takesValue: option.required }]
          : [],
      ),
    ),
  }
  return [own, ...command.commands.flatMap(child => levels(child, `${path} ${child.name()}`.trim()))]
}

const words = (level: Level) => [...level.commands, ...level.options].map(({ word }) => word).join(' ')

/** Names in the namespace where no option is meant: a question to the server, short so that typing never waits for one. */
const ASK = 'llamboctl ls'

function bash(all: readonly Level[]): string {
  const names = all.filter(({ path }) => path).map(({ path }) => path)
  const cases = all.map(level => `    '${level.path}') words='${words(level)}' ;;`)
  const values = new Map(
    all.flatMap(level => level.options.filter(o => o.values.length).map(o => [o.word, o.values.join(' ')])),
  )
  return `# llamboctl completion bash; in ~/.bashrc: source <(llamboctl completion bash)
_llamboctl() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]} path='' words='' word
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "\${path:+$path }$word" in
${names.map(name => `      '${name}') path='${name}' ;;`).join('\n')}
    esac
  done
  case $prev in
${[...values].map(([word, list]) => `    ${word}) COMPREPLY=($(compgen -W '${list}' -- "$cur")); return ;;`).join('\n')}
  esac
  case $path in
${cases.join('\n')}
  esac
  case $cur in
    /n/llambo/*)
      local dir=\${cur%/*}/
      COMPREPLY=($(compgen -W "$(timeout 0.5 ${ASK} "$dir" 2>/dev/null | sed "s|^|$dir|")" -- "$cur")) ;;
    *) COMPREPLY=($(compgen -W "$words" -- "$cur") $(compgen -f -- "$cur")) ;;
  esac
}
complete -o filenames -F _llamboctl llamboctl
`
}

function zsh(all: readonly Level[]): string {
  const describe = (list: readonly Word[]) => list.map(({ word, help }) => `'${word}:${help}'`).join(' ')
  return `#compdef llamboctl
# llamboctl completion zsh > a file _llamboctl in $fpath, or in ~/.zshrc: source <(llamboctl completion zsh)
_llamboctl() {
  local path_='' word
  local -a list
  for word in \${words[2,CURRENT-1]}; do
    case "\${path_:+$path_ }$word" in
${all
  .filter(({ path }) => path)
  .map(({ path }) => `      '${path}') path_='${path}' ;;`)
  .join('\n')}
    esac
  done
  case $path_ in
${all.map(level => `    '${level.path}') list=(${describe([...level.commands, ...level.options])}) ;;`).join('\n')}
  esac
  _describe 'llamboctl' list
  _files
}
(( $+functions[compdef] )) && compdef _llamboctl llamboctl
`
}

function fish(all: readonly Level[]): string {
  const lines = all.flatMap(({ path, commands, options }) => {
    const last = path.split(' ').at(-1)
    const when = path ? `__fish_seen_subcommand_from ${last}` : '__fish_use_subcommand'
    return [
      ...commands.map(({ word, help }) => `complete -c llamboctl -n '${when}' -f -a ${word} -d '${help}'`),
      ...options.map(({ word, help, values, takesValue }) => {
        const flag = word.startsWith('--') ? `-l ${word.slice(2)}` : `-s ${word.slice(1)}`
        const value = values.length > 0 ? ` -x -a '${values.join(' ')}'` : takesValue ? ' -r' : ''
        return `complete -c llamboctl -n '${when}' ${flag}${value} -d '${help}'`
      }),
    ]
  })
  return `# llamboctl completion fish > ~/.config/fish/completions/llamboctl.fish\n${lines.join('\n')}\n`
}

const shells: Record<string, (all: readonly Level[]) => string> = { bash, zsh, fish }

export const run: Run = async (io, [shell = '']) => {
  const script = shells[shell]
  if (!script) throw usage(`no completion for ${shell}: ${Object.keys(shells).join(', ')}`)
  await io.print(script(levels(program(llamboctl, async () => {}))))
}
