/**
 * Runs a program from its table of commands: the command line is parsed with commander, and failures become exit codes.
 */

import { Command as Commander, CommanderError, Option } from 'commander'
import { colors } from './color.js'
import type { Command } from './command.js'
import { asTyped, codeOf, exitCode, explain, Failure } from './exit.js'
import { type Globals, Invocation } from './invocation.js'
import { QUOTE_SPACES } from './phrases.js'
import { version } from './version.js'

/** Runs a command with the arguments and options that commander parsed. */
type Call = (command: Command, args: string[], options: object, globals: Globals) => Promise<void>

const globals: readonly (readonly [flags: string, help: string])[] = [
  ['--at <address>', "the server to use: 'unix!PATH', 'tcp!HOST!PORT', ws://HOST:PORT/9p, wss://… ($LLAMBO)"],
  ['--aname <name>', 'the tree to attach to, on a server with several; if omitted, its root'],
  ['--trace <file>', 'write every 9P message to this file, one per line; - is standard error'],
  ['--color', 'use colours even if standard output is not a terminal'],
  ['--no-color', 'do not use colours ($NO_COLOR)'],
]

/**
 * Builds commander's tree of a program. It parses the command line, and `completion` and the test of the reference take
 * the commands and options from it.
 */
export function program(root: Command, call: Call): Commander {
  const cli = new Commander(root.name)
  for (const [flags, help] of globals) cli.option(flags, help)
  cli.version(version(), '-V, --version').showHelpAfterError(`(see ${root.name} --help)`)
  // commander gives the pair the default of `--no-color`; it must stay unset where neither is given, so that the
  // terminal decides
  cli.setOptionValue('color', undefined)
  if (root.commands) {
    const firsts = root.commands.filter(({ group }, i, all) => group !== all[i - 1]?.group)
    // lists commander's own `help` under the last heading
    cli.commandsGroup(root.commands.at(-1)?.group ?? 'Commands:')
    cli.addHelpText('after', `\nExamples:\n${firsts.map(({ example }) => `  ${example}`).join('\n')}`)
  }
  describe(cli, root)
  return cli

  function describe(at: Commander, command: Command): void {
    at.description(command.summary)
    at.aliases(command.aliases ?? [])
    if (command.group) at.helpGroup(command.group)
    if (command.example) at.addHelpText('after', `\nExample:\n  ${command.example}`)
    if (command.args) at.arguments(command.args)
    for (const [flags, help, choices, many] of command.options ?? []) {
      const option = new Option(flags, help)
      if (choices?.length) option.choices([...choices])
      // unlike commander's `<path...>`, which also takes the arguments that follow it
      if (many) option.argParser((value, before: readonly string[] = []) => [...before, value])
      at.addOption(option)
    }
    for (const child of command.commands ?? []) describe(at.command(child.name), child)
    if (at !== cli) at.showHelpAfterError(`usage: ${path(at)} ${at.usage()} (see --help)`)
    if (!command.load) return
    at.action(async (...given: unknown[]) => {
      const args = given
        .slice(0, -2)
        .flat()
        .filter(arg => arg !== undefined) as string[]
      // commander gives an option that a command shares with its subcommand to the command
      const above = at.parent && at.parent !== cli ? at.parent.opts() : {}
      await call(command, args, { ...above, ...at.opts() }, cli.opts())
    })
  }
}

const path = (command: Commander): string =>
  command.parent ? `${path(command.parent)} ${command.name()}` : command.name()

const every = (command: Commander): Commander[] => [command, ...command.commands.flatMap(every)]

/** Commander's message about a command line, with the remedy where we know one. */
function plainly(text: string, { hints = {} }: Command): string {
  const said = text.replace(/^error: /, '')
  const [, word = ''] = /^unknown command '([^']*)'/.exec(said) ?? []
  if (Object.hasOwn(hints, word)) return asTyped(`unknown command '${word}'; ${hints[word]}\n`)
  const [, name, most, given] =
    /^too many arguments for '([^']*)'\. Expected (\d+) arguments? but got (\d+)/.exec(said) ?? []
  if (name === undefined) return said
  const takes = most === '0' ? 'no arguments' : most === '1' ? 'one argument' : `at most ${most} arguments`
  return `${name}: expected ${takes}, got ${given}; ${QUOTE_SPACES}: 'my model.gguf'\n`
}

/**
 * Runs a command line of a program.
 * @returns the exit code; a failure is printed as one line on standard error
 */
export async function main(
  root: Command,
  argv: readonly string[],
  env: NodeJS.ProcessEnv,
  signal: AbortSignal,
): Promise<number> {
  const cli = program(root, async (command, args, options, globals) => {
    const { run } = await command.load!()
    await run(new Invocation(globals, env, signal), args, options)
  })
  for (const command of every(cli)) {
    command
      .exitOverride()
      .configureOutput({ outputError: (text, write) => write(`${root.name}: ${plainly(text, root)}`) })
  }
  try {
    await cli.parseAsync(argv, { from: 'user' })
    return exitCode.ok
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCode.ok : exitCode.usage
    if (signal.aborted) return signal.reason instanceof Failure ? signal.reason.code : exitCode.interrupted
    // a Failure without a message comes from a command that has already printed what is wrong: only its code counts
    if (error instanceof Failure && error.message === '') return error.code
    const { red } = colors(process.stderr, 'auto', env)
    process.stderr.write(`${red(`${root.name}:`)} ${explain(error)}\n`)
    // a process started with -d reports to its parent too, because its own log may not be writable
    if (process.connected) process.send?.({ failed: explain(error) }, undefined, undefined, () => undefined)
    return codeOf(error)
  }
}
