/** The manual pages: which there are, and how each is made from documents and tables of commands. */
import type { Command as Commander } from 'commander'
import type { Command } from '../../cli/command.js'
import { program } from '../../cli/program.js'
import { entry, type Links, literal, roff } from './roff.js'

/** A manual page, as `man SECTION NAME` shows it. */
export interface Page {
  readonly name: string
  readonly section: 1 | 4 | 7
  readonly summary: string
  /** The documents it is made of, in order. */
  readonly docs: readonly string[]
  /** For a program: its table, from which the synopsis and the list of all options are made. */
  readonly root?: Command
}

/** The manual page that has the content of each document. */
const links: Links = {
  'files.md': 'llambo(4)',
  'ideas.md': 'llambo(7)',
  'cluster.md': 'llambo(7)',
  'llamboctl.md': 'llamboctl(1)',
  'shell.md': 'llamboctl(1)',
  'limbot.md': 'limbot(1)',
  'dish.md': 'dish(1)',
}

/** All pages: one for each program, one for the file tree and one for the ideas. */
export const pages = (programs: readonly Command[]): readonly Page[] => [
  ...programs.map(root => ({
    name: root.name,
    section: 1 as const,
    summary: root.summary,
    docs: [`${root.name}.md`, ...(root.name === 'llamboctl' ? ['shell.md'] : [])],
    root,
  })),
  { name: 'llambo', section: 4, summary: 'the files of language models', docs: ['files.md'] },
  { name: 'llambo', section: 7, summary: 'language models as files: the ideas', docs: ['ideas.md', 'cluster.md'] },
]

const others = (page: Page, all: readonly Page[]) =>
  all
    .filter(other => other !== page)
    .map(({ name, section }) => `.BR ${name} (${section})`)
    .join(',\n')

/** Every command of commander's tree that can be run, with its path. */
function* leaves(command: Commander, path: string): Generator<[string, Commander]> {
  if (command.commands.length === 0 || command.registeredArguments.length + command.options.length > 0)
    yield [path, command]
  for (const child of command.commands) yield* leaves(child, `${path} ${child.name()}`)
}

const usage = (path: string, command: Commander) => {
  const given = command
    .usage()
    .replace(/^\[options\]|\[command\]/g, '')
    .trim()
  const upper = given.replace(/[<[]([a-z]+)(\.\.\.)?[>\]]/g, whole => whole.toUpperCase().replace(/[<>]/g, ''))
  return `\\fB${literal(path)}\\fP${command.options.length ? ' [\\fIoption\\fP ...]' : ''}${upper ? ` ${literal(upper)}` : ''}`
}

const optionsOf = (command: Commander) =>
  command.options
    .map(({ flags, description, argChoices }) => {
      const choices = argChoices ? ` (${argChoices.join(', ')})` : ''
      return entry(`\\fB${literal(flags)}\\fP`, `${literal(description)}${literal(choices)}`)
    })
    .join('')

/** The section of all commands and options, as the program's own help lists them. */
function listing(root: Command): string {
  const cli = program(root, async () => {})
  const [global, ...rest] = [cli, ...leaves(cli, root.name)] as [Commander, ...[string, Commander][]]
  const commands = rest.filter(([path]) => path !== root.name)
  const parts = commands.map(
    ([path, command]) =>
      `${entry(usage(path, command), literal(command.description()))}${command.options.length ? `.RS\n${optionsOf(command)}.RE\n` : ''}`,
  )
  return `.SH ALL OPTIONS\n${optionsOf(global)}${parts.length ? `.SH ALL COMMANDS\n${parts.join('')}` : ''}`
}

const caps = (text: string) => text.replace(/\\f[BIP]/g, '').toUpperCase()

/**
 * The text of a page, with the macros of man(7).
 * @param read returns a document of docs/ by its name, or '' where there is none
 * @param all all pages, for SEE ALSO
 */
export function manual(page: Page, read: (name: string) => string, all: readonly Page[], version: string): string {
  const { name, section, summary, docs, root } = page
  const commands = new Set(root?.commands?.map(command => command.name))
  let inCommands = false
  let first = true
  const text = docs
    .map(doc =>
      roff(read(doc), links, (depth, heading) => {
        if (depth === 1) {
          const own = first ? '.SH DESCRIPTION\n' : `.SH ${caps(heading)}\n`
          first = false
          return own
        }
        if (depth > 2) return `.SS ${heading}\n`
        const isCommand = commands.has(heading.split(/[ ,]/)[0]!)
        // section 4 has the names of files as headings, which keep their case
        const title = isCommand ? `.SS ${heading}\n` : `.SH ${section === 4 ? heading : caps(heading)}\n`
        const begins = isCommand && !inCommands
        inCommands ||= isCommand
        return begins ? `.SH COMMANDS\n${title}` : title
      }),
    )
    .join('')
  const cli = root && program(root, async () => {})
  const synopsis = cli
    ? `.SH SYNOPSIS\n${cli.commands.length ? `\\fB${name}\\fP [\\fIoption\\fP ...] \\fIcommand\\fP ...` : usage(name, cli)}\n`
    : ''
  return `.TH ${name.toUpperCase()} ${section} "" "llambo ${version}" "llambo"
.SH NAME
${name} \\- ${literal(summary)}
${synopsis}${text || `.SH DESCRIPTION\n${literal(summary)}\n`}${root ? listing(root) : ''}.SH SEE ALSO
${others(page, all)}
`
}
