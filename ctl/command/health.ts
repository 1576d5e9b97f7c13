/** `llamboctl health`: prints the state of the cluster in one word. */
import type { Run } from '../../cli/command.js'
import { exitCode, Failure } from '../../cli/exit.js'
import { sanitize } from '../../cli/terminal/sanitize.js'
import { Model } from '../../top/model.js'
import { Source } from '../../top/source.js'

/** Prints the word that `top` begins with. Fails where the state is DEGRADED or DOWN, so that a script can test it. */
export const run: Run = async io => {
  const model = new Model()
  const source = new Source(io, model, () => undefined)
  await source.open()
  await source.once()
  source.close()
  const { word, why } = model.health()
  await io.print(`${word}${why && `: ${sanitize(why)}`}\n`)
  if (word === 'DEGRADED' || word === 'DOWN') throw new Failure(exitCode.failed, '')
}
