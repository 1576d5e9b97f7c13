/** The builtins about the cluster: `status`, `nodes`, `ps`, `kill` and `task`. */

import { type Row, rows } from '../../api/record-file.js'
import { status as statusFile } from '../../api/status.js'
import { type TaskRecord, taskStatus } from '../../api/task.js'
import { summary } from '../../cli/summary.js'
import { ORDWR } from '../../fs/wire/protocol.js'
import type { Call } from '../call.js'
import { ShellError } from '../failure.js'
import { HOME } from '../state.js'
import * as tree from '../tree.js'
import { answer } from './files.js'
import { job } from './shell.js'

/** Reads the records of a `status` file. */
export async function records(call: Call, path: string): Promise<Row[]> {
  return rows(await tree.text(call.state, path, call.signal), path)
}

export async function status(call: Call): Promise<void> {
  const path = `${HOME}/status`
  if (call.options.json) return call.json(await records(call, path))
  const text = await tree.text(call.state, path, call.signal)
  await call.print(call.terminal ? summary(text) : text)
}

const columns = ['name', 'host', 'state', 'class', 'model', 'slots', 'active', 'tok_s'] as const

export async function nodes(call: Call): Promise<void> {
  const path = `${HOME}/status`
  if (call.options.json) {
    const workers = (await records(call, path)).filter(({ record }) => record === 'worker')
    return call.json(workers.map(({ record: _, ...attrs }) => attrs))
  }
  const { worker } = statusFile.read(await tree.text(call.state, path, call.signal))
  await call.table(
    columns,
    worker.map(one => columns.map(column => `${one[column]}`)),
  )
}

/** How many tasks' status files are read at once. */
const AT_ONCE = 32
const over = new Set(['done', 'failed', 'cancelled'])

/** A task, and the text of its `status`. */
interface Seen {
  readonly task: TaskRecord
  readonly text: string
}

/** The tasks, oldest first. Those that have ended are included only if `ended`. */
async function tasks(call: Call, ended: boolean): Promise<Seen[]> {
  const dir = `${HOME}/task`
  const names = (await tree.list(call.state, dir, call.signal)).map(({ name }) => name)
  const out: Seen[] = []
  const look = async (name: string): Promise<Seen[]> => {
    try {
      const text = await tree.text(call.state, `${dir}/${name}/status`, call.signal)
      return [{ ...taskStatus.read(text), text }]
    } catch (error) {
      if (call.signal.aborted) throw error
      // the task was removed meanwhile
      return []
    }
  }
  for (let i = 0; i < names.length; i += AT_ONCE) {
    const some = await Promise.all(names.slice(i, i + AT_ONCE).map(look))
    for (const seen of some.flat()) if (ended || !over.has(seen.task.state)) out.push(seen)
  }
  return out
}

const taskColumns = ['id', 'state', 'user', 'worker', 'prompt_tokens', 'completion_tokens', 'tok_s'] as const

export async function ps(call: Call): Promise<void> {
  const seen = await tasks(call, Boolean(call.options.a))
  if (call.options.json)
    return call.json(seen.flatMap(({ text }) => rows(text, 'task')).map(({ record: _, ...attrs }) => attrs))
  await call.table(
    taskColumns,
    seen.map(({ task }) => taskColumns.map(column => `${task[column] ?? ''}`)),
  )
}

export async function kill(call: Call): Promise<void> {
  await call.each(call.args, async arg => {
    if (arg.startsWith('%')) {
      const one = job(call, arg)
      if (one.status !== undefined) throw new ShellError(`kill: ${arg}: already finished`)
      one.stop.abort(new Error('stopped'))
      return one.ended
    }
    if (!/^\d+$/.test(arg)) throw call.unfit('a task number (ps lists them), or %N for a job', arg)
    const path = `${HOME}/task/${arg}/ctl`
    const { fid, offset } = await tree.openToWrite(call.state, path, call.signal)
    const sink = new tree.FileSink(call.state, path, fid, offset)
    try {
      await sink.write(Buffer.from('cancel\n'), call.signal)
    } finally {
      fid.drop()
    }
  })
}

/**
 * Sends a prompt (the arguments, or standard input) and prints the answer, both on one open file, so that no other
 * exchange comes between.
 */
export async function task(call: Call): Promise<void> {
  const path = `${HOME}/data`
  const fid = await tree.open(call.state, path, ORDWR, call.signal)
  try {
    let at = 0
    const put = async (data: Uint8Array) => {
      at += await tree.named(call.state, path, call.signal, () => fid.write(at, data, call.signal))
    }
    if (call.args.length > 0) await put(Buffer.from(`${call.args.join(' ')}\n`))
    else {
      const { stdin } = call.io
      for (let data = await stdin.read(call.reading); data.length > 0; data = await stdin.read(call.reading))
        await put(data)
      if (at === 0) throw call.usage('missing prompt')
    }
    await answer(call, path, data => tree.drain(call.state, path, fid, call.reading, data))
  } finally {
    fid.drop()
  }
}
