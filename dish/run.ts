/** Runs `dish`: an interactive shell, a script, or the commands after `-c`. */

import { readFileSync } from 'node:fs'
import type { Run } from '../cli/command.js'
import { Failure, usage } from '../cli/exit.js'
import type { Invocation } from '../cli/invocation.js'
import { DishSyntaxError, type Sequence } from './ast.js'
import { complain, run as evaluate, syntaxText } from './evaluate.js'
import { codeFor, Exit, why } from './failure.js'
import { parse } from './parser.js'
import { BrokenPipe, empty } from './pipe.js'
import { begin } from './shell-instance.js'
import type { Io } from './state.js'
import { Stdin, Styled } from './streams.js'

export const run: Run = async (io, [file, ...words], { command, interactive, parse: only }) => {
  const given = command as string | undefined
  const typed = given === undefined && file === undefined
  if (interactive || (typed && io.stdin.isTTY)) {
    if (!typed) throw usage('-i cannot be used with -c or a file')
    const { interact } = await import('./shell.js')
    return leave(await interact(io))
  }
  const text = given ?? (file === undefined ? await all(io) : read(file))
  // after -c the first word is an argument, and there is no file
  const name = given === undefined ? (file ?? 'dish') : 'dish'
  const args = given === undefined || file === undefined ? words : [file, ...words]
  const streams: Io = {
    stdin: typed ? empty : new Stdin(io.stdin),
    stdout: new Styled(io.stdout, 1),
    stderr: new Styled(io.stderr, 2),
    signal: io.signal,
  }
  const steps = await parsed(text, streams)
  if (only) return
  const session = await begin(io, { interactive: false, told: line => io.note(line) }, [name, ...args])
  const { state } = session
  try {
    await evaluate(steps, streams, state)
    await state.shared.jobs.over(io.signal)
  } catch (error) {
    if (io.signal.aborted) throw error
    if (error instanceof BrokenPipe) state.end('')
    else if (!(error instanceof Exit)) {
      await complain(streams, why(error))
      state.end(why(error), codeFor(error))
    } else {
      if (error.status !== undefined) state.end(error.status)
      await state.shared.jobs.over(io.signal)
    }
  } finally {
    await session.close()
  }
  leave(state.code)
}

function leave(code: number): void {
  if (code !== 0) throw new Failure(code, '')
}

async function parsed(text: string, io: Io): Promise<Sequence> {
  try {
    return parse(text)
  } catch (error) {
    if (!(error instanceof DishSyntaxError)) throw error
    await complain(io, syntaxText(error))
    throw new Failure(2, '')
  }
}

function read(file: string): string {
  try {
    // a #! line at the top is a comment in dish as well
    return readFileSync(file, 'utf8')
  } catch (error) {
    throw usage(
      `${file}: ${(error as NodeJS.ErrnoException).code === 'ENOENT' ? 'no such file on this machine' : (error as Error).message}`,
    )
  }
}

async function all(io: Invocation): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of io.stdin) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString('utf8')
}
