import { FsError } from '../../fs/errors.js'
import type { Run } from '../common/command.js'
import { exitCode, Failure } from '../common/exit.js'
import { named } from '../common/files.js'
import { shown } from '../common/npath.js'

export const run: Run = async (io, args) => {
  const { root, client } = await io.connect()
  for (const path of args) {
    const names = io.names(path)
    await named(names, async () => (await root.walk(names, io.signal)).remove()).catch(error => {
      if (names.length > 1 || !(error?.cause instanceof FsError && error.cause.is('notFound'))) throw error
      // who comes from ollama means a model by its name
      const remedy = `a model is a file there as well: llamboctl rm models/${path}.gguf`
      throw new Failure(exitCode.failed, `${shown(names)}: file does not exist; ${remedy}`, { cause: error })
    })
  }
  client.close()
}
