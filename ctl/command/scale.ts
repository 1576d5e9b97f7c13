/** `llamboctl scale`: starts or ends workers until there are N, or sets the bounds of automatic scaling. */

import { status } from '../../api/status.js'
import type { Run } from '../../cli/command.js'
import { usage } from '../../cli/exit.js'
import { readText, withFile } from '../../cli/files.js'
import type { Invocation } from '../../cli/invocation.js'
import { OWRITE } from '../../fs/wire/protocol.js'
import { control } from './control.js'

/** The most workers that a cluster may be scaled to. */
const MOST = 1000

/** `scale N` starts or ends workers until there are N. Other arguments go to `scale` of `ctl`. */
export const run: Run = async (io, args, options) => {
  const [count = ''] = args
  if (args.length !== 1 || !/^\d+$/.test(count)) return control('scale')(io, args, options)
  if (Number(count) > MOST) throw usage(`scale ${count}: expected a number of workers, at most ${MOST}`)
  await toCount(io, Number(count))
}

/**
 * Starts the missing workers, of class `default`, or ends the newest of the surplus, each once its answers are done.
 */
async function toCount(io: Invocation, count: number): Promise<void> {
  const { root, client } = await io.connect()
  const { worker } = status.read(await readText(root, ['status'], io.signal))
  const names = worker
    .filter(({ state }) => state !== 'draining')
    .map(({ name }) => name)
    .sort()
  const lines =
    count > names.length
      ? [`spawn default ${count - names.length}`]
      : names.slice(count).map(name => `shutdown ${name}`)
  await Promise.all(
    lines.map(line =>
      withFile(root, ['ctl'], OWRITE, io.signal, fid => fid.write(0, Buffer.from(`${line}\n`), io.signal)),
    ),
  )
  client.close()
  io.note(`workers: ${names.length} before, ${count} from now on`)
}
