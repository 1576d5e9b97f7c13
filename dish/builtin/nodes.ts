/** The builtins that run a command on workers: `on` and `all`. */

import { timeLimit } from '../../fs/base/clock.js'
import { clean } from '../../fs/base/path.js'
import type { Call } from '../call.js'
import { Exit, ShellError, why } from '../failure.js'
import { BrokenPipe, empty, Prefixed } from '../pipe.js'
import { contextFor } from '../space.js'
import { HOME, type Io, type State } from '../state.js'
import * as tree from '../tree.js'

const worker = /^worker-\d{4,}$/

/** The names of the cluster's workers. */
export async function workers(call: Call): Promise<string[]> {
  return (await tree.list(call.state, HOME, call.signal)).map(({ name }) => name).filter(name => worker.test(name))
}

/** A copy of the shell's state with a worker's tree at /n/llambo. */
async function there(call: Call, name: string, signal: AbortSignal): Promise<State> {
  const space = call.state.space.fork()
  const copy = call.state.fork(space)
  const path = clean(`${HOME}/${name}`)
  await tree.named(call.state, path, signal, () =>
    tree.quickly(signal, signal => space.namespace.bind(path, HOME, {}, contextFor(signal))),
  )
  return copy
}

/** Runs a command on a worker. A failure is printed and becomes the status. */
async function runThere(
  call: Call,
  worker: string,
  words: readonly string[],
  io: Io,
): Promise<{ status: string; code: number }> {
  const { jobs } = call.state.shared
  const before = new Set(jobs.running)
  let state: State | undefined
  try {
    state = await there(call, worker, io.signal)
    const [name = '', ...args] = words
    await call.evaluator.invoke(name, args, io, state)
    return state
  } catch (error) {
    if (error instanceof Exit) return { status: error.status ?? state?.status ?? '', code: 1 }
    if (error instanceof BrokenPipe && !io.signal.aborted) return { status: '', code: 0 }
    if (!(error instanceof ShellError)) throw error
    await io.stderr.write(Buffer.from(`dish: ${why(error)}\n`), io.signal)
    return { status: why(error), code: error.code }
  } finally {
    const space = state?.space
    // jobs that the command started go on in this name space, so it is closed after the last of them
    const left = jobs.running.filter(job => !before.has(job)).map(({ ended }) => ended)
    if (left.length === 0) space?.close()
    else Promise.all(left).then(() => space?.close())
  }
}

export async function on(call: Call): Promise<void> {
  const [name = '', ...words] = call.args
  const { status, code } = await runThere(call, name, words, call.io)
  call.state.end(status, code)
}

const number = new Intl.NumberFormat('en')

export async function all(call: Call): Promise<void> {
  const atOnce = call.count('j', 32, 1)
  const seconds = call.seconds('t', 0)
  const names = await workers(call)
  const begun = performance.now()
  const failed: string[] = []
  let next = 0
  const one = async (name: string) => {
    const out = new Prefixed(`${name}: `, call.out)
    const err = new Prefixed(`${name}: `, call.io.stderr)
    const late = seconds > 0 ? timeLimit(seconds * 1000) : undefined
    const signal = AbortSignal.any([call.signal, ...(late ? [late] : [])])
    let status: string
    try {
      status = (await runThere(call, name, call.args, { stdin: empty, stdout: out, stderr: err, signal })).status
    } catch (error) {
      if (call.signal.aborted) throw call.signal.reason
      status = late?.aborted ? `not done within ${seconds} s` : why(error)
      await err.write(Buffer.from(`dish: ${status}\n`), call.signal)
    }
    await out.end(call.signal)
    await err.end(call.signal)
    if (status !== '') failed.push(name)
  }
  const runner = async () => {
    while (next < names.length && !call.out.gone?.aborted) await one(names[next++]!)
  }
  await Promise.all(Array.from({ length: Math.min(atOnce, names.length) }, runner))
  const took = ((performance.now() - begun) / 1000).toFixed(1)
  const ok = names.length - failed.length
  const which =
    failed.length > 0 ? `: ${failed.sort(tree.compare).slice(0, 20).join(' ')}${failed.length > 20 ? ' …' : ''}` : ''
  await call.note(`${number.format(ok)} ok, ${number.format(failed.length)} failed, ${took} s${which}`)
  if (failed.length > 0) call.state.end(`${failed.length} failed`, 1)
}
