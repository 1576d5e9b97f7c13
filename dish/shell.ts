/** The interactive shell: reads what a person types and runs it. */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Invocation } from '../cli/invocation.js'
import { configDir, stateDir } from '../cli/paths.js'
import { Editor } from '../cli/terminal/editor.js'
import { History } from '../cli/terminal/history.js'
import { sanitize } from '../cli/terminal/sanitize.js'
import { DishSyntaxError } from './ast.js'
import { Completer } from './complete.js'
import { complain, runText } from './evaluate.js'
import { codeFor, Exit, why } from './failure.js'
import { parse } from './parser.js'
import { empty, type Sink } from './pipe.js'
import { publish } from './publish.js'
import { begin } from './shell-instance.js'
import { HOME, type Io, type State } from './state.js'
import { Styled } from './streams.js'
import * as tree from './tree.js'

/** A word in double quotes, as other shells have them. `$"` is left out: it means something in dish. */
const doubleQuoted = /(?:^|[\s=(^])"/

/** The reason with which Ctrl-C aborts what runs. */
const interrupted = () => new Error('interrupted')

/** Runs a shell for a person. @returns the exit code */
export async function interact(io: Invocation): Promise<number> {
  const history = new History(join(stateDir(io.env), 'dish_history'), { warn: line => io.note(`dish: ${line}`) })
  let completer: Completer | undefined
  const editor: Editor = new Editor({
    input: io.stdin,
    output: io.stdout,
    history,
    prompt: () => prompt(session.state, io),
    more: incomplete,
    complete: (text, cursor, signal) =>
      (completer ??= new Completer(session.state, hint)).complete(text, cursor, signal),
    // typing while a command runs goes into the next entry
    hold: true,
    interrupt: () => interrupt(true),
    env: io.env,
  })
  const tell = (line: string) => void (editor.plain ? io.note(sanitize(line)) : editor.above(`${sanitize(line)}\n`))
  const hint = (line: string | undefined) => {
    editor.status = line === undefined ? [] : [sanitize(line)]
  }
  const session = await begin(io, {
    interactive: true,
    told: tell,
    history: () => history.entries,
    background: background(editor),
    withTerminal: terminalLender(editor),
  })
  const { state } = session
  const published = await publish(io.env, session.namespace).catch(
    error => void tell(`dish: other programs cannot read the files of this shell: ${why(error)}`),
  )

  /** Ends the reading of an entry and, once the entry is read, the command that runs for it. */
  let stop: AbortController | undefined
  /** Handles Ctrl-C. @returns whether there was something to interrupt */
  function interrupt(key: boolean): boolean {
    if (!stop || (key && editor.reading)) return false
    if (key && !stop.signal.aborted) io.stdout.write('^C')
    stop.abort(interrupted())
    return true
  }
  const onInterrupt = () => void interrupt(false)
  const before = process.listeners('SIGINT')
  process.removeAllListeners('SIGINT').on('SIGINT', onInterrupt)
  const streams = (signal: AbortSignal): Io => ({
    // typed input belongs to the shell; a host command gets the terminal itself
    stdin: { ...empty, inherited: true },
    stdout: new Styled(io.stdout, 1),
    stderr: new Styled(io.stderr, 2),
    signal,
  })
  /** Runs an entry. @param own ends it @returns whether the shell is to end */
  const enter = async (text: string, own = new AbortController()): Promise<boolean> => {
    stop = own
    const end = () => own.abort(io.signal.reason)
    io.signal.addEventListener('abort', end, { once: true })
    const at = streams(own.signal)
    try {
      await runText(text, at, state)
    } catch (error) {
      if (error instanceof Exit) {
        if (error.status !== undefined) state.end(error.status)
        return true
      }
      if (own.signal.aborted) {
        state.end('interrupted', 130)
        if (io.stdout.isTTY) io.stdout.write('\n')
      } else {
        await complain({ ...at, signal: io.signal }, why(error))
        state.end(why(error), codeFor(error))
      }
    } finally {
      stop = undefined
      io.signal.removeEventListener('abort', end)
    }
    return false
  }

  try {
    const rc = startFile(io)
    let over = rc !== undefined && (await enter(rc))
    const greeted = greet(state, io, tell)
    let told = false
    for (let warned = false; !over && !io.signal.aborted; ) {
      const own = new AbortController()
      stop = own
      const entry = await editor.read(AbortSignal.any([own.signal, io.signal]))
      hint(undefined)
      if (entry !== undefined) {
        warned = false
        if (!told && doubleQuoted.test(entry.replaceAll(/'[^']*'|!.*/g, ''))) {
          told = true
          tell(`dish: " does not quote words; use '`)
        }
        over = entry.trim() !== '' && (await enter(entry, own))
        continue
      }
      // Ctrl-C at a terminal that edits lines itself, so that the editor does not see the key
      if (own.signal.aborted && !io.signal.aborted) {
        io.stdout.write('\n')
        continue
      }
      const { running } = state.shared.jobs
      if (running.length === 0 || warned || !io.stdin.isTTY || io.signal.aborted) {
        // piped commands may end before the server answers, or before it is known that there is no server
        if (!io.stdin.isTTY) await greeted
        break
      }
      warned = true
      io.note(
        `dish: still running: ${running.map(({ id, text }) => `%${id} ${sanitize(text)}`).join('; ')}; Ctrl-D again stops them`,
      )
    }
  } finally {
    process.off('SIGINT', onInterrupt)
    for (const one of before) process.on('SIGINT', one as () => void)
    editor.close()
    await published?.close()
    await session.close()
  }
  if (io.signal.aborted) throw io.signal.reason
  return state.code
}

/** Reports in the background that the server does not answer. @returns when that is known */
async function greet(state: State, io: Invocation, tell: (line: string) => void): Promise<void> {
  try {
    await tree.stat(state, HOME, io.signal)
  } catch (error) {
    if (!io.signal.aborted) tell(`dish: ${why(error)}`)
  }
}

/** The prompt: `llambo> `, with the directory if that is not /n/llambo. */
function prompt(state: State, io: Invocation): string {
  const [own] = state.get('prompt')
  if (own !== undefined) return sanitize(own)
  const { cwd } = state
  const where = cwd === HOME ? '' : ` ${cwd.startsWith(`${HOME}/`) ? cwd.slice(HOME.length + 1) : cwd}`
  const { bold, blue } = io.colors(io.stdout)
  return `${bold('llambo')}${blue(sanitize(where))}> `
}

/** Whether an entry continues on the next line. */
function incomplete(text: string): boolean {
  try {
    parse(text)
    return false
  } catch (error) {
    return error instanceof DishSyntaxError && error.incomplete
  }
}

/** The text of the user's `dishrc`, which every interactive shell runs first. */
function startFile(io: Invocation): string | undefined {
  const file = join(configDir(io.env), 'dishrc')
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') io.note(`dish: ${file}: ${(error as Error).message}`)
    return undefined
  }
}

/** Lends the terminal to host commands, from the start of the first to the end of the last. */
function terminalLender(editor: Editor): <T>(work: () => Promise<T>) => Promise<T> {
  let borrowers = 0
  let back: (() => void) | undefined
  let lent: Promise<void> | undefined
  return async work => {
    if (borrowers++ === 0)
      lent = editor.lend(
        () =>
          new Promise<void>(resolve => {
            back = resolve
          }),
      )
    try {
      return await work()
    } finally {
      if (--borrowers === 0) {
        back?.()
        await lent
      }
    }
  }
}

/** Shows the lines of a job above the line that is being typed. */
function background(editor: Editor): (io: Io) => Io {
  const over = (sink: Sink): Sink => {
    if (!sink.own) return sink
    const decoder = new TextDecoder()
    let rest = ''
    return {
      async write(data) {
        rest += decoder.decode(data, { stream: true })
        const end = rest.lastIndexOf('\n') + 1
        const lines = rest.slice(0, end)
        rest = rest.slice(end)
        if (lines !== '') await editor.above(sanitize(lines))
      },
    }
  }
  return io => ({ ...io, stdout: over(io.stdout), stderr: over(io.stderr) })
}
