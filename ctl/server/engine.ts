/** Opens the engine that the settings name, and checks its settings and model first. */
import { existsSync } from 'node:fs'
import { dirname, isAbsolute, join, resolve } from 'node:path'
import { variable } from '../../api/environment.js'
import { fail } from '../../api/errors.js'
import { readBounded } from '../../cli/bounded.js'
import { usage } from '../../cli/exit.js'
import { stateDir } from '../../cli/paths.js'
import type { Config } from '../../cli/settings.js'
import { checkModel } from '../../cluster/worker/gguf.js'
import type { OpenEngine } from '../../cluster/worker/loader.js'
import type { ModelStore } from '../../cluster/worker/models.js'
import { bundledModels } from './bundled.js'
import { tryOut } from './trial.js'

/**
 * The model to load at the start: the one that the settings name, or the engine's own; undefined where none is to be
 * loaded.
 */
export function firstModel(config: Config): string | undefined {
  const model = config.model ?? 'none'
  if (model === 'none') return undefined
  if (config['engine.kind'] === 'echo') return 'echo'
  if (config['engine.kind'] === 'openai') return config['engine.model'] ?? model
  return model.includes('/') ? resolve(model) : model
}

/**
 * Checks the settings of the engine before any worker starts.
 * @throws Failure (usage) for missing settings or an unreadable key
 */
export function checkEngine(config: Config): void {
  if (config['engine.kind'] === 'openai' && !config['engine.url'])
    throw usage('engine openai needs engine.url, such as http://127.0.0.1:8080/v1 (LLAMBO_ENGINE_URL)')
  const keyFile = config['engine.key_file']
  if (keyFile) readKey(keyFile)
}

/**
 * Makes the function with which a worker opens its engine, by `engine.kind`. Only the code of that engine is imported:
 * llama.cpp takes half a second.
 * @throws Failure (usage) for missing settings, before anything starts
 */
export function engineOpener(config: Config, store: ModelStore, env: NodeJS.ProcessEnv): OpenEngine {
  const {
    'engine.url': url,
    'engine.key_file': keyFile,
    'engine.rate': rate = 0,
    'engine.first_token_ms': first_token_ms = 0,
    'engine.threads': threads,
    'engine.gpu': gpu = 'auto',
    'engine.context': context,
    'engine.kv_type': kvType = 'f16',
    'engine.timeout': timeout = 120,
  } = config
  switch (config['engine.kind']) {
    case 'echo':
      return async (_model, settings) => {
        const { createEchoEngine } = await import('../../cluster/worker/engine/echo.js')
        return createEchoEngine({ rate, first_token_ms, ...(context && { context }), ...settings })
      }
    case 'openai': {
      checkEngine(config)
      const key = keyFile ? readKey(keyFile) : variable(env, 'OPENAI_API_KEY')
      const silence_ms = timeout * 1000
      const given = { url: url!, silence_ms, ...(key && { key }), ...(context && { context }) }
      return async (model, settings) => {
        const { createOpenAIEngine } = await import('../../cluster/worker/engine/openai.js')
        return createOpenAIEngine({ ...given, model, ...settings })
      }
    }
    default:
      return async (model, settings, signal, progress) => {
        const path = isAbsolute(model) ? model : await store.find(model.replace(/\.gguf$/, ''))
        if (!path || !existsSync(path))
          throw fail('notFound', `model ${model}; llamboctl models lists the models, llamboctl pull downloads others`)
        const how = { path, gpu: gpu === 'off' ? false : gpu, kvType, ...(threads && { threads }) } as const
        const { createLlamaEngine } = await import('../../cluster/worker/engine/llama.js')
        // The bundled models have been tried. Any other file is read twice the first time: the trial is the first half
        // of the progress.
        let from = 0
        if (dirname(path) !== bundledModels) {
          // checked before llama.cpp reads it: some hostile headers make llama.cpp loop
          await checkModel(path, signal)
          await tryOut({ dir: join(stateDir(env), 'tried'), env }, how, signal, share => {
            from = 0.5
            progress(share * from)
          })
        }
        return createLlamaEngine(
          { ...how, digest: store.digest(path), ...(context && { context }), ...settings },
          signal,
          share => progress(from + share * (1 - from)),
        )
      }
  }
}

/** The most bytes of a file with a key. */
const MAX_KEY = 16 * 1024

/** Reads a key from a file. @throws Failure (usage) where the file cannot be read */
export function readKey(path: string): string {
  try {
    return readBounded(path, MAX_KEY).trim()
  } catch (error) {
    throw usage(`engine.key_file: ${(error as Error).message}`)
  }
}
