import type { Run } from '../common/command.js'
import { named } from '../common/files.js'

export const run: Run = async (io, args) => {
  const { root, client } = await io.connect()
  for (const path of args) {
    const names = io.names(path)
    await named(names, async () => (await root.walk(names, io.signal)).remove())
  }
  client.close()
}
