import { resolve } from 'node:path'
import { DEFAULT_CLASS, type WorkerClass } from '../../cluster/class.js'
import type { Config } from '../common/settings.js'
import { firstModel } from './engine.js'

/** The classes of worker that a host of this configuration can start: `default`, made from the plain settings, is the first. */
export function classesOf(config: Config): WorkerClass[] {
  return [{ name: DEFAULT_CLASS, model: firstModel(config), slots: config.slots ?? 4, memory: 0, cores: 0 }]
}

/** Of the settings, those that make a worker what it is. */
export const workerSettings = (config: Config): Config =>
  Object.fromEntries(Object.entries(config).filter(([key]) => /^(model|slots|classes|engine\..*)$/.test(key))) as Config

/** The settings that a worker of that class runs by. Paths are made absolute: it runs in another directory. */
export function configOf(config: Config, { name, model = 'none', slots, cores }: WorkerClass): Config {
  const keyFile = config['engine.key_file']
  return {
    ...workerSettings(config),
    model,
    slots,
    ...(keyFile && { 'engine.key_file': resolve(keyFile) }),
    ...(cores > 0 && { 'engine.threads': Math.max(1, Math.floor(cores)) }),
    ...(name !== DEFAULT_CLASS && { 'engine.model': model }),
  }
}
