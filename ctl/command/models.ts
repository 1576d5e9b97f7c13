/** `llamboctl models`: lists the models of the server or, where none runs, those that it would have. */

import { status } from '../../api/status.js'
import type { Run } from '../../cli/command.js'
import { exitCode, Failure } from '../../cli/exit.js'
import { entries, readText } from '../../cli/files.js'
import type { Invocation } from '../../cli/invocation.js'
import { bytes, table } from '../../cli/output.js'
import { modelDir } from '../../cli/paths.js'
import { NOT_RUNNING } from '../../cli/phrases.js'
import { sanitize } from '../../cli/terminal/sanitize.js'
import { ModelStore } from '../../cluster/worker/models.js'
import { bundledModels } from '../server/bundled.js'
import { self } from '../server/users.js'

interface Model {
  readonly name: string
  readonly size: number
  readonly loaded: boolean
  readonly type?: string
  readonly context?: number
  readonly digest?: string
}

/** The files in models/ with what `status` says about them: whether they are loaded, their type, context and digest. */
async function served(io: Invocation): Promise<Model[]> {
  const { root, client } = await io.connect()
  const files = await entries(root, ['models'], io.signal)
  const records = status.read(await readText(root, ['status'], io.signal)).model
  client.close()
  const models = new Map<string, Model>()
  for (const { name, length } of files.filter(file => file.name.endsWith('.gguf'))) {
    const model = name.slice(0, -'.gguf'.length)
    models.set(model, { name: model, size: Number(length), loaded: false })
  }
  for (const { name, size, loaded, context, type, digest } of records)
    models.set(name, {
      ...(models.get(name) ?? { name, size }),
      loaded,
      type,
      ...(context && { context }),
      ...(digest && { digest }),
    })
  return [...models.values()]
}

/** The models that a server of this user would have: those in its store and those bundled with llambo. */
const stored = async (io: Invocation): Promise<Model[]> =>
  (await new ModelStore([modelDir(io.env), bundledModels], { owner: self() }).list()).map(
    ({ name, size, context }) => ({ name, size, loaded: false, ...(context && { context }) }),
  )

/** Prints the models. Needs no running server where the user's own is meant, because its models are on the disk. */
export const run: Run = async (io, _args, { json }) => {
  const own = io.globals.at === undefined && !io.env.LLAMBO
  const models = await served(io).catch(error => {
    if (!own || !(error instanceof Failure && error.code === exitCode.unreachable)) throw error
    if (io.stdout.isTTY) io.note(`${NOT_RUNNING}; these are the models that it would have`)
    return stored(io)
  })
  const rows = models.sort((a, b) => (a.name < b.name ? -1 : 1))
  if (json) return io.print(`${JSON.stringify(rows, null, 2)}\n`)
  const terminal = io.stdout.isTTY === true
  const cells = rows.map(row => [
    terminal ? sanitize(row.name) : row.name,
    terminal ? bytes(row.size) : String(row.size),
    row.loaded ? 'yes' : 'no',
    row.context ? String(row.context) : '',
    terminal ? (row.digest ?? '').slice(0, 19) : (row.digest ?? ''),
  ])
  await io.print(table(['name', 'size', 'loaded', 'context', 'digest'], cells, terminal))
}
