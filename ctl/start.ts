/** `npm start`: starts a server with the bundled model and shows a first answer. */
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Command, CommanderError, Option } from 'commander'
import { loadConfig } from '../cli/config.js'
import { connect } from '../cli/connect.js'
import { asTyped, codeOf, exitCode, explain, Failure } from '../cli/exit.js'
import { drain, withFile } from '../cli/files.js'
import { Invocation } from '../cli/invocation.js'
import { write } from '../cli/output.js'
import { end, endsInOrder, guardOutput, untilSignal } from '../cli/signals.js'
import { aborted } from '../fs/base/interruptible.js'
import { ORDWR } from '../fs/wire/protocol.js'
import { serverOptions } from './command/table.js'
import { announce } from './command/up.js'
import { flagsOf, sayHungUp } from './server/foreground.js'
import { type Server, startServer } from './server/server.js'

const PROMPT = 'What is AI?'

/**
 * Starts a server with the bundled model, prints a first prompt with its answer and stays in the foreground until
 * Ctrl-C. With `--once TEXT` it prints only the answer to TEXT, on standard output. Ends the process with the exit
 * code.
 */
export async function start(argv: readonly string[]): Promise<never> {
  const output = new AbortController()
  guardOutput(code => output.abort(new Failure(code, 'output')))
  const signal = AbortSignal.any([untilSignal(), output.signal])
  const command = new Command('npm start --')
    .description('start a server with the bundled model')
    .addOption(new Option('--once <text>', 'print the answer to TEXT and exit'))
    .configureOutput({ writeOut: text => process.stderr.write(text) })
    .exitOverride()
  for (const [flags, help, choices] of serverOptions) {
    const option = new Option(flags, help)
    command.addOption(choices ? option.choices([...choices]) : option)
  }
  try {
    command.parse(argv, { from: 'user' })
    const { once, ...options } = command.opts()
    const hurry = endsInOrder()
    await (once === undefined ? foreground(options, signal, hurry) : answer(once, options, signal))
    return await end(exitCode.ok)
  } catch (error) {
    if (error instanceof CommanderError) return await end(error.exitCode === 0 ? exitCode.ok : exitCode.usage)
    if (signal.aborted) return await end(codeOf(signal.reason))
    process.stderr.write(`llambo: ${explain(error)}\n`)
    return end(codeOf(error))
  }
}

const say = (line: string) => void process.stderr.write(`${line}\n`)
const note = (line: string) => say(`llambo: ${line}`)

async function foreground(options: Record<string, unknown>, signal: AbortSignal, hurry: AbortSignal): Promise<void> {
  const io = new Invocation({}, process.env, signal)
  const { config } = loadConfig(process.env, flagsOf(options), options.config as string | undefined)
  say('starting …')
  const server = await startServer({ config, env: process.env, note, signal })
  try {
    announce(io, server)
    const { bold } = io.colors(process.stderr)
    const [dir] = server.mounts
    say('')
    if (dir) {
      say(bold(`    echo "${PROMPT}" > ${dir}/data`))
      say(bold(`    cat ${dir}/data`))
    } else say(bold(asTyped(`    llamboctl rdwr data "${PROMPT}"`)))
    await ask(server, PROMPT, async data => void process.stderr.write(data), signal)
    say('')
    say('Type these commands in another terminal, with your own prompts. Ctrl-C stops the server.')
    say(asTyped('Next: llamboctl limbot starts a chat; llamboctl --help lists all commands.'))
    await Promise.race([server.shutdown, aborted(signal)])
    say('stopping …')
  } finally {
    await server.close(hurry)
  }
  sayHungUp(signal)
}

/**
 * Prints one answer from a server with a runtime directory of its own, which does not disturb another server and leaves
 * nothing behind.
 */
async function answer(text: string, options: Record<string, unknown>, signal: AbortSignal): Promise<void> {
  const own = mkdtempSync(join(tmpdir(), 'llambo-once-'))
  try {
    const env = { ...process.env, XDG_RUNTIME_DIR: own }
    const flags = flagsOf(options)
    const { config: loaded } = loadConfig(env, { ...flags, listen: [] }, options.config as string | undefined)
    // the configured directory is for the permanent server, which may be running now
    const config = { ...loaded, mount: flags.mount === undefined && loaded.mount !== 'off' ? 'auto' : loaded.mount! }
    const server = await startServer({ config, env, note, signal, passing: true, places: [join(own, 'n')] })
    try {
      await ask(server, text, data => write(process.stdout, data), signal)
    } finally {
      await server.close()
    }
  } finally {
    rmSync(own, { recursive: true, force: true })
  }
}

/** Writes a prompt and reads its answer on one open file: through the mount where there is one, else over 9P. */
async function ask(
  { mounts: [dir], addresses: [address] }: Server,
  text: string,
  sink: (data: Uint8Array) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  if (dir === undefined) {
    const { root, client } = await connect(address!, {}, signal)
    await withFile(root, ['data'], ORDWR, signal, async fid => {
      await fid.write(0, Buffer.from(text), signal)
      await drain(fid, sink, signal)
    })
    return client.close()
  }
  await throughMount(join(dir, 'data'), text, sink, signal)
}

/**
 * Asks in a shell, as a user would. A process that serves a mount must never use it itself, because it would wait for
 * itself.
 */
async function throughMount(
  path: string,
  text: string,
  sink: (data: Uint8Array) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  const ask = 'exec 3<>"$1" && cat >&3 && exec cat <&3'
  const child = spawn('sh', ['-c', ask, 'sh', path], { stdio: 'pipe', signal })
  child.on('error', () => undefined) // the signal aborted, or there is no sh: handled at the exit
  child.stdin.on('error', () => undefined).end(text)
  let said = ''
  child.stderr.setEncoding('utf8').on('data', words => {
    said += words
  })
  const ended = new Promise<number | null>(resolve => child.once('close', resolve))
  for await (const data of child.stdout) await sink(data)
  const code = await ended
  signal.throwIfAborted()
  if (code !== 0) throw new Failure(exitCode.failed, said.trim() || `sh exited with ${code}`)
}
