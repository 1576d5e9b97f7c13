/** Worker classes: the settings of each, and the workers that a server starts with. */
import { DEFAULT_CLASS } from '../../api/report.js'
import { usage } from '../../cli/exit.js'
import type { Config } from '../../cli/settings.js'
import type { WorkerClass } from '../../cluster/class.js'
import type { Host } from '../../cluster/host.js'
import { checkEngine, firstModel } from './engine.js'

/** The server's settings with the changes that a class makes; unchanged where there is no class of that name. */
export function settingsOf(config: Config, name: string): Config {
  const of = config.classes?.[name]
  if (!of) return config
  const { model, engine, url, key_file, timeout } = of
  return {
    ...config,
    ...(model !== undefined && { model, 'engine.model': model }),
    ...(engine !== undefined && { 'engine.kind': engine }),
    // a key is sent only to the server that it belongs to
    ...(url !== undefined && { 'engine.url': url, 'engine.key_file': undefined }),
    ...(key_file !== undefined && { 'engine.key_file': key_file }),
    ...(timeout !== undefined && { 'engine.timeout': timeout }),
  }
}

/**
 * The classes of workers that a host with this configuration can start. The first is `default`, made from the server's
 * own settings.
 */
export function classesOf(config: Config): WorkerClass[] {
  const { slots: all = 4 } = config
  const own = Object.entries(config.classes ?? {}).map(([name, of]) => {
    const { slots = all, memory = 0, cores = 0, type, context, kv_type, prefer } = of
    const model = firstModel(settingsOf(config, name))
    return { name, model, slots, memory, cores, type, context, kv_type, prefer }
  })
  return [{ name: DEFAULT_CLASS, model: firstModel(config), slots: all, memory: 0, cores: 0 }, ...own]
}

/**
 * Checks the engine settings of all classes before any worker starts.
 * @throws Failure (usage) for missing settings or an unreadable key
 */
export function checkEngines(config: Config): void {
  checkEngine(config)
  for (const [name, { engine, model }] of Object.entries(config.classes ?? {})) {
    checkEngine(settingsOf(config, name))
    if (engine === 'openai' && model === undefined && config['engine.kind'] !== 'openai')
      throw usage(`classes.${name}: engine openai needs model, the name of the model on that server`)
  }
}

/** How many workers of each class a server starts with. */
export const workersOf = (config: Config): [name: string, n: number][] => [
  [DEFAULT_CLASS, config.workers ?? 1],
  ...Object.entries(config.classes ?? {}).map(([name, { workers = 0 }]): [string, number] => [name, workers]),
]

/**
 * Starts the workers that a server starts with. Workers that the host has taken over from a previous host count.
 * @param hold the model that workers of the default class load first, where that is not the class's own
 */
export function startWorkers(config: Config, host: Pick<Host, 'workers' | 'spawn'>, hold = ''): void {
  for (const [name, n] of workersOf(config)) {
    const lacking = n - host.workers.filter(({ of }) => of.name === name).length
    if (lacking > 0) host.spawn(name, lacking, (name === DEFAULT_CLASS && hold) || undefined)
  }
}

/** The settings that affect workers. */
export const workerSettings = (config: Config): Config =>
  Object.fromEntries(
    Object.entries(config).filter(([key]) => /^(model|slots|memory|classes|engine\..*)$/.test(key)),
  ) as Config

/** The settings with which a worker of a class runs. */
export function configOf(config: Config, { name, model, slots, cores, context, kv_type }: WorkerClass): Config {
  return {
    ...workerSettings(settingsOf(config, name)),
    model: model ?? 'none',
    'engine.model': model,
    slots,
    ...(context !== undefined && { 'engine.context': context }),
    ...(kv_type !== undefined && { 'engine.kv_type': kv_type as Config['engine.kv_type'] }),
    // a class with less than one core still needs a thread
    ...(cores > 0 && { 'engine.threads': Math.max(1, Math.floor(cores)) }),
  }
}
