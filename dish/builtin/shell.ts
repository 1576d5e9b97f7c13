/** The builtins of the shell itself: `echo`, `help`, `read`, `jobs`, `wait`, `eval`, `exit` and others. */

import { readFile } from 'node:fs/promises'
import { setTimeout as pause } from 'node:timers/promises'
import { didYouMean } from '../../cli/suggest.js'
import { interruptible } from '../../fs/base/interruptible.js'
import { quote } from '../../fs/base/quote.js'
import { type Call, usageOf } from '../call.js'
import { Exit, ShellError } from '../failure.js'
import { section } from '../manual.js'
import { putBack } from '../pipe.js'
import { print } from '../print.js'
import * as tree from '../tree.js'

/** The longest line that `read` takes, in bytes. */
const MAX_READ = 1024 * 1024

export async function echo(call: Call): Promise<void> {
  const bare = call.args[0] === '-n'
  await call.print(call.args.slice(bare ? 1 : 0).join(' ') + (bare ? '' : '\n'))
}

const named = ({ evaluator }: Call, name: string) => evaluator.builtins.find(builtin => builtin.name === name)

export async function help(call: Call): Promise<void> {
  const [name] = call.args
  const { builtins } = call.evaluator
  if (name === undefined) {
    const wide = Math.max(...builtins.map(({ name, args = '' }) => `${name} ${args}`.length))
    const rows = builtins.map(({ name, args = '', summary }) => `${`${name} ${args}`.padEnd(wide)}  ${summary}\n`)
    const rest = ['!COMMAND', 'run a command of this machine'] as const
    return call.print(`${rows.join('')}${rest[0].padEnd(wide)}  ${rest[1]}\n`)
  }
  const builtin = named(call, name)
  if (!builtin)
    throw new ShellError(
      `help: ${name}: no such command${
        didYouMean(
          name,
          builtins.map(({ name }) => name),
        ) || '; help lists the commands'
      }`,
    )
  const options = builtin.options ?? []
  const wide = Math.max(0, ...options.map(([flag]) => flag.length))
  await call.print(
    `${usageOf(builtin)}\n  ${builtin.summary}\n${options.map(([flag, help]) => `  ${flag.padEnd(wide)}  ${help}\n`).join('')}`,
  )
}

export async function man(call: Call): Promise<void> {
  const path = call.path(call.args[0]!)
  await call.print(await section(path, name => readFile(name, 'utf8')))
}

export async function history(call: Call): Promise<void> {
  const entries = call.state.shared.history()
  const wide = String(entries.length).length
  await call.print(entries.map((entry, i) => `${String(i + 1).padStart(wide)}  ${entry}\n`).join(''))
}

export const jobs = (call: Call): Promise<void> => call.print(call.state.shared.jobs.text())

/** Finds a job by its number, with or without %. @throws ShellError if there is none */
export function job(call: Call, text: string) {
  const found = /^%?\d+$/.test(text) ? call.state.shared.jobs.get(Number(text.replace('%', ''))) : undefined
  if (!found) throw new ShellError(`${call.name}: ${text}: no such job; jobs lists them`)
  return found
}

export async function wait(call: Call): Promise<void> {
  const chosen = call.args.length > 0 ? call.args.map(arg => job(call, arg)) : call.state.shared.jobs.running
  for (const one of chosen) {
    await interruptible(one.ended, call.signal)
    if (one.status) call.state.end(one.status)
  }
}

export async function whatis(call: Call): Promise<void> {
  await call.each(call.args, async name => {
    const { functions, variables } = call.state
    const value = variables.get(name)
    const body = functions.get(name)
    const builtin = named(call, name)
    if (value)
      await call.print(`${name}=${value.length === 1 ? quote(value[0]!) : `(${value.map(quote).join(' ')})`}\n`)
    if (body) await call.print(`fn ${name} { ${print(body)} }\n`)
    else if (builtin) await call.print(`${usageOf(builtin)}\n`)
    if (!value && !body && !builtin) throw new ShellError(`whatis: ${name}: not a function, variable or command`)
  })
}

export const evaluate = (call: Call): Promise<void> => call.evaluator.runText(call.args.join(' '), call.io, call.state)

export async function shift(call: Call): Promise<void> {
  const by = Number(call.args[0] ?? 1)
  if (!Number.isInteger(by) || by < 0) throw call.unfit('a whole number from 0', call.args[0])
  call.state.set('*', call.state.get('*').slice(by))
}

export async function sleep(call: Call): Promise<void> {
  const seconds = Number(call.args[0])
  if (!(seconds >= 0 && seconds <= 2_000_000)) throw call.unfit('seconds from 0 to 2000000', call.args[0])
  await pause(seconds * 1000, undefined, { signal: call.signal }).catch(() => undefined)
  if (call.signal.aborted) throw call.signal.reason
}

export async function source(call: Call): Promise<void> {
  const [path = '', ...args] = call.args
  const text = await tree.text(call.state, call.path(path), call.signal)
  await call.evaluator.called(call.state, [path, ...args], () => call.evaluator.runText(text, call.io, call.state))
}

export async function yes(call: Call): Promise<void> {
  call.state.end('')
}

export async function no(call: Call): Promise<void> {
  call.state.end('false', 1)
}

/**
 * Reads one line of standard input and not a byte more: the rest is for the next command. After the last line the
 * status is `eof`.
 */
export async function read(call: Call): Promise<void> {
  const { stdin } = call.io
  if (stdin.inherited && call.state.shared.interactive)
    throw new ShellError('read: cannot read what is typed; give it a pipe, < or <<')
  for (const name of call.args) if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) throw call.unfit('a variable name', name)
  const parts: Uint8Array[] = []
  let size = 0
  let ended = false
  while (!ended) {
    const data = await stdin.read(call.reading)
    if (data.length === 0) break
    const end = data.indexOf(10)
    ended = end >= 0
    parts.push(ended ? data.subarray(0, end) : data)
    size += data.length
    if (size > MAX_READ) throw new ShellError(`read: line too long; at most ${MAX_READ} bytes`)
    if (ended && end + 1 < data.length) putBack(stdin, data.subarray(end + 1))
  }
  if (!ended && parts.length === 0) return call.state.end('eof', 1)
  const line = Buffer.concat(parts).toString('utf8')
  const names = [...call.args]
  const last = names.pop()
  if (last === undefined) return call.print(`${line}\n`)
  let rest = line
  for (const name of names) {
    const [word = ''] = /^\s*\S*/.exec(rest) ?? []
    rest = rest.slice(word.length)
    call.state.set(name, word.trim() === '' ? [] : [word.trim()])
  }
  call.state.set(last, [names.length > 0 ? rest.trim() : rest])
}

export async function exit(call: Call): Promise<void> {
  throw new Exit(call.args[0])
}
