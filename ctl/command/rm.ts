/** `llamboctl rm`: removes files of the namespace. */

import { FsError } from '../../api/errors.js'
import type { Run } from '../../cli/command.js'
import { exitCode, Failure } from '../../cli/exit.js'
import { named } from '../../cli/files.js'
import { shown } from '../../cli/ns-path.js'

export const run: Run = async (io, args) => {
  const { root, client } = await io.connect()
  for (const path of args) {
    const names = io.names(path)
    await named(names, async () => (await root.walk(names, io.signal)).remove()).catch(error => {
      if (names.length > 1 || !(error?.cause instanceof FsError && error.cause.is('notFound'))) throw error
      // with ollama `rm NAME` removes a model
      const remedy = `to remove a model: llamboctl rm models/${path}.gguf`
      throw new Failure(exitCode.failed, `${shown(names)}: file does not exist; ${remedy}`, { cause: error })
    })
  }
  client.close()
}
