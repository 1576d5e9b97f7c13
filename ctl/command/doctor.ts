/** `llamboctl doctor`: prints what this machine has and lacks, with the remedy for each fault. */
import type { Run } from '../../cli/command.js'
import { exitCode, Failure } from '../../cli/exit.js'
import type { Finding } from '../doctor/finding.js'
import { findings } from '../doctor/findings.js'

const signs: Record<Finding['state'], string> = { ok: 'ok', note: 'note', bad: 'bad' }

/**
 * Prints the findings. Fails where one is `bad`: a server could not start or could not answer until the remedy is
 * applied.
 */
export const run: Run = async (io, _args, { json }) => {
  const all = await findings(io.env)
  if (json) await io.print(`${JSON.stringify(all, null, 2)}\n`)
  else {
    const { green, yellow, red, bold } = io.colors(io.stdout)
    const colour = { ok: green, note: yellow, bad: red }
    const width = Math.max(...all.map(({ name }) => name.length))
    for (const { name, state, says, remedy } of all) {
      await io.print(`${colour[state](signs[state].padEnd(4))}  ${bold(name.padEnd(width))}  ${says}\n`)
      if (remedy) await io.print(`${' '.repeat(width + 8)}→ ${remedy}\n`)
    }
  }
  const bad = all.filter(({ state }) => state === 'bad').map(({ name }) => name)
  if (bad.length > 0) throw new Failure(exitCode.failed, `llambo cannot work until these are fixed: ${bad.join(', ')}`)
}
