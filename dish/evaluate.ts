/** Runs the syntax tree of a command line. */

import { didYouMean } from '../cli/suggest.js'
import { type Assignment, DishSyntaxError, type Node, type Redirect, type Sequence, type Word } from './ast.js'
import { builtins, find } from './builtin/table.js'
import { Call, type Evaluator } from './call.js'
import { expand, type Output, texts, values } from './expand.js'
import { runHost } from './external.js'
import { codeFor, Exit, ShellError, why } from './failure.js'
import { pattern } from './glob.js'
import { parse } from './parser.js'
import { BrokenPipe, Capture, empty, Pipe } from './pipe.js'
import { printNode } from './print.js'
import { redirect } from './redirect.js'
import type { Io, State } from './state.js'

/** How much output of `` `{…} `` is kept, in bytes. */
const MAX_OUTPUT = 16 * 1024 * 1024
/** How deep functions and sourced files may call each other. */
const DEEPEST = 200

const turn = (): Promise<void> => new Promise(resolve => setImmediate(resolve))

/** Writes a line about a failure to standard error. */
export function complain(io: Io, line: string): Promise<void> {
  return io.stderr.write(Buffer.from(`dish: ${line}\n`), io.signal).catch(() => undefined)
}

/** A syntax error as text: the message, the line it is in, and a caret below the column. */
export function syntaxText(error: DishSyntaxError): string {
  const { line, text, caret } = error.shown
  return `${error.message}${error.text.includes('\n') ? ` (line ${line})` : ''}\n  ${text}\n  ${caret}`
}

/**
 * Runs commands one after another; `state` has the last one's status.
 * @throws Exit, BrokenPipe, or the signal's reason. Every other failure becomes a status and a line on standard error
 */
export async function run(steps: Sequence, io: Io, state: State): Promise<void> {
  for (const { node, background } of steps) {
    if (io.signal.aborted) throw io.signal.reason
    if (background) startJob(node, io, state)
    else await evaluate(node, io, state)
  }
  if (io.signal.aborted) throw io.signal.reason
}

/** Parses and runs a text. A syntax error becomes a status too. */
export async function runText(text: string, io: Io, state: State): Promise<void> {
  let steps: Sequence
  try {
    steps = parse(text)
  } catch (error) {
    if (!(error instanceof DishSyntaxError)) throw error
    await complain(io, syntaxText(error))
    return state.end(`syntax error: ${error.message}`, 2)
  }
  await run(steps, io, state)
}

/** Starts a command that ends in `&` as a job. */
function startJob(node: Node, io: Io, state: State): void {
  const copy = state.fork()
  const own = state.shared.background?.(io) ?? io
  const job = state.shared.jobs.start(printNode(node), async signal => {
    try {
      await evaluate(node, { ...own, stdin: empty, background: true, signal }, copy)
    } catch (error) {
      if (error instanceof Exit) return error.status ?? copy.status
      if (error instanceof BrokenPipe) return ''
      return signal.aborted ? 'stopped' : why(error)
    }
    return copy.status
  })
  state.set('apid', [String(job.id)])
  state.end('')
}

async function evaluate(node: Node, io: Io, state: State): Promise<void> {
  try {
    await one(node, io, state)
  } catch (error) {
    if (error instanceof Exit || error instanceof BrokenPipe || io.signal.aborted) throw error
    const line = why(error)
    await complain(io, line)
    state.end(line, codeFor(error))
  }
}

async function one(node: Node, io: Io, state: State): Promise<void> {
  switch (node.kind) {
    case 'simple':
      return simple(node, io, state)
    case 'host':
      return state.end(await runHost(node.text, io, state))
    case 'block':
      return redirected(node.redirects, io, state, io => run(node.body, io, state))
    case 'function':
      if (node.body) state.functions.set(node.name, node.body)
      else state.functions.delete(node.name)
      return state.end('')
    case 'for': {
      const items = node.words ? await words(node.words, io, state) : state.get('*')
      for (const item of items) {
        await turnOf(io)
        state.set(node.name, [item])
        await evaluate(node.body, io, state)
      }
      return
    }
    case 'if':
      await run(node.test, io, state)
      if (state.status === '') return evaluate(node.body, io, state)
      return node.otherwise ? evaluate(node.otherwise, io, state) : state.end('')
    case 'while':
      for (;;) {
        await turnOf(io)
        await run(node.test, io, state)
        if (state.status !== '') return state.end('')
        await evaluate(node.body, io, state)
      }
    case 'switch':
      return redirected(node.redirects, io, state, async io => {
        const subjects = (await Promise.all(node.words.map(word => texts(word, state, output(io, state))))).flat()
        for (const { patterns, body } of node.cases)
          if (await matches(subjects, patterns, io, state)) return run(body, io, state)
        state.end('')
      })
    case 'match': {
      const subjects = await texts(node.subject, state, output(io, state))
      return state.end((await matches(subjects, node.patterns, io, state)) ? '' : 'no match')
    }
    case 'not':
      await evaluate(node.body, io, state)
      return state.end(state.status === '' ? 'not' : '')
    case 'and':
    case 'or':
      await evaluate(node.left, io, state)
      if ((state.status === '') === (node.kind === 'and')) await evaluate(node.right, io, state)
      return
    case 'pipe':
      return pipe(node.commands, io, state)
  }
}

/**
 * Whether one of the words matches one of the patterns. An empty list of words matches only an empty list of patterns.
 */
async function matches(subjects: readonly string[], list: readonly Word[], io: Io, state: State): Promise<boolean> {
  const patterns = (await Promise.all(list.map(word => values(word, state, output(io, state))))).flat()
  const tests = patterns.map(pattern)
  return subjects.length === 0 ? tests.length === 0 : subjects.some(s => tests.some(test => test.test(s)))
}

/** Waits for the next turn of the event loop: a loop that never waits must leave room for Ctrl-C. */
async function turnOf({ signal }: Io): Promise<void> {
  await turn()
  if (signal.aborted) throw signal.reason
}

/**
 * Runs each command of a pipe with a copy of the state. The status is '' if every command's is, otherwise all of them
 * joined with `|`.
 */
async function pipe(commands: readonly Node[], io: Io, state: State): Promise<void> {
  const pipes = commands.slice(1).map(() => new Pipe())
  const forks = commands.map(() => state.fork())
  const statuses = await Promise.allSettled(
    commands.map(async (node, i) => {
      const own = { ...io, stdin: pipes[i - 1] ?? io.stdin, stdout: pipes[i] ?? io.stdout }
      try {
        await evaluate(node, own, forks[i]!)
      } catch (error) {
        if (error instanceof BrokenPipe && pipes[i]?.gone.aborted) forks[i]!.end('')
        else if (!(error instanceof Exit)) throw error
        else if (error.status !== undefined) forks[i]!.end(error.status)
      } finally {
        pipes[i]?.end()
        pipes[i - 1]?.close()
      }
      return forks[i]!
    }),
  )
  const failed = statuses.find(one => one.status === 'rejected')
  if (failed) throw failed.reason
  const all = forks.map(({ status }) => status)
  const worst = forks.findLast(({ status }) => status !== '')
  state.end(all.every(status => status === '') ? '' : all.join('|'), worst?.code)
}

const output =
  (io: Io, state: State): Output =>
  async ({ body }) => {
    const kept = new Capture(MAX_OUTPUT)
    const copy = state.fork()
    try {
      await run(body, { ...io, stdin: empty, stdout: kept }, copy)
    } catch (error) {
      if (!(error instanceof Exit)) throw error
    }
    state.end(copy.status, copy.code)
    return kept.text
  }

const words = (list: Parameters<typeof expand>[0], io: Io, state: State) =>
  expand(list, state, output(io, state), io.signal)

async function redirected(
  redirects: readonly Redirect[],
  io: Io,
  state: State,
  use: (io: Io) => Promise<void>,
): Promise<void> {
  if (redirects.length === 0) return use(io)
  const { io: own, end } = await redirect(redirects, io, state, async ({ kind, to }) => {
    if (kind === '<<') return (await texts(to as Word, state, output(io, state))).join('')
    const names = await words([to as Exclude<typeof to, number>], io, state)
    if (names.length !== 1)
      throw new ShellError(`expected one file for a redirection, not ${names.length}: ${names.join(' ')}`)
    return names[0]!
  })
  try {
    await use(own)
  } catch (error) {
    await end().catch(() => undefined)
    throw error
  }
  await end()
}

async function simple(node: Node & { kind: 'simple' }, io: Io, state: State): Promise<void> {
  // assignments before a command hold only for that command, including its own words
  const local = node.words.length > 0
  const before: [string, readonly string[] | undefined][] = []
  try {
    for (const { name, value } of node.assignments) {
      const list = value ? await words([value], io, state) : []
      if (local) before.unshift([name, state.variables.get(name)])
      state.set(name, list)
    }
    const [name, ...args] = await words(node.words, io, state)
    if (name !== undefined) return await redirected(node.redirects, io, state, io => invoke(name, args, io, state))
    // the status of x=`{…} is that of the commands in it
    const said = ({ name, value }: Assignment) => name === 'status' || value?.some(({ kind }) => kind === 'output')
    if (!node.assignments.some(said)) state.end('')
    await redirected(node.redirects, io, state, async () => undefined)
  } finally {
    for (const [name, value] of before) if (name !== 'status') state.set(name, value ?? [])
  }
}

/** Runs a command by its name: a function, a block, or a builtin. @throws ShellError if there is no such command */
export async function invoke(name: string, args: readonly string[], io: Io, state: State): Promise<void> {
  if (io.signal.aborted) throw io.signal.reason
  const body = state.functions.get(name)
  if (body) return called(state, [name, ...args], () => run(body, io, state))
  if (name.startsWith('{') && args.length === 0) return runText(name, io, state)
  const builtin = find(name)
  if (!builtin) {
    const known = [...builtins.map(({ name }) => name), ...state.functions.keys()]
    const remedy = name.startsWith('!')
      ? `; put ! first: !VARIABLE=VALUE ${name.slice(1)}`
      : didYouMean(name, known) || `; help lists the commands, !${name} runs one of this machine`
    throw new ShellError(`${name}: no such command${remedy}`)
  }
  state.end('')
  const call = new Call(builtin, args, io, state, self)
  const { run: start } = await builtin.load()
  await start(call)
}

/** Runs a function or a sourced file with its own arguments. @throws ShellError if calls are nested too deep */
export async function called(
  state: State,
  [name, ...args]: readonly string[],
  work: () => Promise<void>,
): Promise<void> {
  if (state.depth >= DEEPEST) throw new ShellError(`${name}: more than ${DEEPEST} nested calls`)
  const before = [state.get('*'), state.get('0')]
  state.depth++
  state.set('*', args)
  state.set('0', [name!])
  try {
    await turn()
    await work()
  } finally {
    state.depth--
    state.set('*', before[0]!)
    state.set('0', before[1]!)
  }
}

/** What the commands get of this file: they do not import it, for it imports their table. */
const self: Evaluator = { builtins, invoke, called, runText }
