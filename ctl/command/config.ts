/** `llamboctl config show`: prints the settings in force and, on request, where each comes from. */
import type { Run } from '../../cli/command.js'
import { loadConfig } from '../../cli/config.js'
import { table } from '../../cli/output.js'
import { type Key, settings } from '../../cli/settings.js'

export const run: Run = async (io, _args, { origin, config: file }) => {
  const { config, origins } = loadConfig(io.env, {}, file)
  const text = (value: unknown) =>
    value === undefined ? '' : typeof value === 'string' ? value : JSON.stringify(value)
  const rows = (Object.keys(settings) as Key[]).map(key => [key, text(config[key]), ...(origin ? [origins[key]] : [])])
  await io.print(table(['setting', 'value', ...(origin ? ['origin'] : [])], rows, io.stdout.isTTY === true))
}
