import { readFileSync } from 'node:fs'
import { Command as Commander, CommanderError, Option } from 'commander'
import type { Command } from './command/command.js'
import { commands } from './command/table.js'
import { colors } from './common/color.js'
import { codeOf, exitCode, explain, Failure } from './common/exit.js'
import { type Globals, Invocation } from './invocation.js'

/** This package's version. */
export function version(): string {
  return JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')).version
}

/** llamboctl as commander sees it: what is parsed, what `completion` offers and what the reference must list. */
export function program(
  run: (command: Command, args: string[], options: object, globals: Globals) => Promise<void>,
): Commander {
  const root = new Commander('llamboctl')
    .description('starts, stops and speaks to a llambo server: language models as files')
    .option('--at <address>', 'the server to speak to: unix!PATH, tcp!HOST!PORT, ws://HOST:PORT/9p, wss://… ($LLAMBO)')
    .option('--aname <name>', 'the tree to attach to, of a server that has several; its root unless given')
    .option('--trace <file>', 'write every 9P message there, a line each; - is standard error')
    .option('--color', 'colours also where standard output is no terminal')
    .option('--no-color', 'no colours ($NO_COLOR)')
    .version(version(), '-V, --version')
    .showHelpAfterError('(llamboctl --help shows what there is)')
  // commander takes the negated option's default for the pair's: unset must stay unset, for then the terminal decides.
  root.setOptionValue('color', undefined)
  for (const command of commands) add(root, command)
  return root

  function add(parent: Commander, command: Command): void {
    const sub = parent.command(command.name).description(command.summary)
    if (command.alias) sub.alias(command.alias)
    if (command.args) sub.arguments(command.args)
    for (const [flags, help, choices] of command.options ?? []) {
      const option = new Option(flags, help)
      sub.addOption(choices ? option.choices(choices as string[]) : option)
    }
    for (const child of command.commands ?? []) add(sub, child)
    if (!command.load) return
    sub.action(async (...given: unknown[]) => {
      const args = given
        .slice(0, -2)
        .flat()
        .filter(arg => arg !== undefined) as string[]
      await run(command, args, sub.opts(), root.opts())
    })
  }
}

/** Runs a command line to its end. @returns the exit code; what went wrong is one line on standard error */
export async function main(argv: readonly string[], env: NodeJS.ProcessEnv, signal: AbortSignal): Promise<number> {
  const cli = program(async (command, args, options, globals) => {
    const { run } = await command.load!()
    await run(new Invocation(globals, env, signal), args, options)
  })
  for (const command of [cli, ...cli.commands, ...cli.commands.flatMap(c => c.commands)]) {
    command
      .exitOverride()
      .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, 'llamboctl: ')) })
  }
  try {
    await cli.parseAsync(argv, { from: 'user' })
    return exitCode.ok
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCode.ok : exitCode.usage
    if (signal.aborted) return signal.reason instanceof Failure ? signal.reason.code : exitCode.interrupted
    const { red } = colors(process.stderr, 'auto', env)
    process.stderr.write(`${red('llamboctl:')} ${explain(error)}\n`)
    return codeOf(error)
  }
}
