import { DEFAULT_CLASS, type WorkerClass } from '../../cluster/class.js'
import type { Config } from '../common/settings.js'
import { firstModel } from './engine.js'

/** The classes of worker that a host of this configuration can start: `default`, made from the plain settings, is the first. */
export function classesOf(config: Config): WorkerClass[] {
  const { slots: all = 4 } = config
  const own = Object.entries(config.classes ?? {}).map(
    ([name, { model, slots = all, memory = 0, cores = 0, ...rest }]) => {
      const named = model === undefined ? config : { ...config, model, 'engine.model': model }
      return { name, model: firstModel(named), slots, memory, cores, ...rest }
    },
  )
  return [{ name: DEFAULT_CLASS, model: firstModel(config), slots: all, memory: 0, cores: 0 }, ...own]
}

/** Of the settings, those that make a worker what it is. */
export const workerSettings = (config: Config): Config =>
  Object.fromEntries(Object.entries(config).filter(([key]) => /^(model|slots|classes|engine\..*)$/.test(key))) as Config

/** The settings that a worker of that class runs by. */
export function configOf(config: Config, { model, slots, cores, context, kv_type }: WorkerClass): Config {
  return {
    ...workerSettings(config),
    model: model ?? 'none',
    'engine.model': model,
    slots,
    ...(context !== undefined && { 'engine.context': context }),
    ...(kv_type !== undefined && { 'engine.kv_type': kv_type as Config['engine.kv_type'] }),
    // a class of half a processor still computes
    ...(cores > 0 && { 'engine.threads': Math.max(1, Math.floor(cores)) }),
  }
}
