/** `llamboctl metrics`: prints the file `metrics`, which Prometheus reads. */
import type { Run } from '../../cli/command.js'
import { readText } from '../../cli/files.js'

export const run: Run = async io => {
  const { root, client } = await io.connect()
  await io.print(await readText(root, ['metrics'], io.signal))
  client.close()
}
