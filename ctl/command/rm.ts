import { named } from '../common/files.js'
import type { Run } from './command.js'

export const run: Run = async (io, args) => {
  const { root, client } = await io.connect()
  for (const path of args) {
    const names = io.names(path)
    await named(names, async () => (await root.walk(names, io.signal)).remove())
  }
  client.close()
}
