import { Command as Commander, CommanderError, Option } from 'commander'
import { colors } from './color.js'
import type { Command } from './command.js'
import { codeOf, exitCode, explain, Failure } from './exit.js'
import { type Globals, Invocation } from './invocation.js'
import { version } from './version.js'

/** Calls a command's code with what commander made of the command line. */
type Call = (command: Command, args: string[], options: object, globals: Globals) => Promise<void>

const globals: readonly (readonly [flags: string, help: string])[] = [
  ['--at <address>', 'the server to speak to: unix!PATH, tcp!HOST!PORT, ws://HOST:PORT/9p, wss://… ($LLAMBO)'],
  ['--aname <name>', 'the tree to attach to, of a server that has several; its root unless given'],
  ['--trace <file>', 'write every 9P message there, a line each; - is standard error'],
  ['--color', 'colours also where standard output is no terminal'],
  ['--no-color', 'no colours ($NO_COLOR)'],
]

/** A program as commander sees it: what is parsed, what `completion` offers and what the reference must list. */
export function program(root: Command, call: Call): Commander {
  const cli = new Commander(root.name)
  for (const [flags, help] of globals) cli.option(flags, help)
  cli.version(version(), '-V, --version').showHelpAfterError(`(${root.name} --help shows what there is)`)
  // commander takes the negated option's default for the pair's: unset must stay unset, for then the terminal decides.
  cli.setOptionValue('color', undefined)
  describe(cli, root)
  return cli

  function describe(at: Commander, command: Command): void {
    at.description(command.summary)
    if (command.alias) at.alias(command.alias)
    if (command.args) at.arguments(command.args)
    for (const [flags, help, choices, many] of command.options ?? []) {
      const option = new Option(flags, help)
      if (choices?.length) option.choices([...choices])
      // unlike commander's `<path...>`, which takes the words behind it as well
      if (many) option.argParser((value, before: readonly string[] = []) => [...before, value])
      at.addOption(option)
    }
    for (const child of command.commands ?? []) describe(at.command(child.name), child)
    if (at !== cli) at.showHelpAfterError(`(it is ${path(at)} ${at.usage()}; -h says more)`)
    if (!command.load) return
    at.action(async (...given: unknown[]) => {
      const args = given
        .slice(0, -2)
        .flat()
        .filter(arg => arg !== undefined) as string[]
      await call(command, args, at.opts(), cli.opts())
    })
  }
}

const path = (command: Commander): string =>
  command.parent ? `${path(command.parent)} ${command.name()}` : command.name()

const every = (command: Commander): Commander[] => [command, ...command.commands.flatMap(every)]

/**
 * Runs a command line of a program to its end.
 * @returns the exit code; what went wrong is one line on standard error
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
      .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, `${root.name}: `)) })
  }
  try {
    await cli.parseAsync(argv, { from: 'user' })
    return exitCode.ok
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCode.ok : exitCode.usage
    if (signal.aborted) return signal.reason instanceof Failure ? signal.reason.code : exitCode.interrupted
    // who has said what there is to say throws a Failure without a message: only its code counts
    if (error instanceof Failure && error.message === '') return error.code
    const { red } = colors(process.stderr, 'auto', env)
    process.stderr.write(`${red(`${root.name}:`)} ${explain(error)}\n`)
    return codeOf(error)
  }
}
