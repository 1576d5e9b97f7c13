/** The `upstream` check of doctor: the servers that engine `openai` uses. */
import { variable } from '../../api/environment.js'
import { loadConfig } from '../../cli/config.js'
import { explain } from '../../cli/exit.js'
import { createOpenAIEngine } from '../../cluster/worker/engine/openai.js'
import { classesOf, settingsOf } from '../server/classes.js'
import { readKey } from '../server/engine.js'
import type { Finding } from './finding.js'

/**
 * Checks that the servers of engine `openai` answer and have the models. It reads their lists of models and sends no
 * prompt.
 */
export async function upstream(env: NodeJS.ProcessEnv): Promise<Omit<Finding, 'name'>> {
  const { config } = loadConfig(env)
  const asked = classesOf(config).map(async ({ name, model }) => {
    const { 'engine.kind': kind, 'engine.url': url, 'engine.key_file': file } = settingsOf(config, name)
    if (kind !== 'openai' || url === undefined || model === undefined) return []
    try {
      const key = file ? readKey(file) : url === config['engine.url'] ? variable(env, 'OPENAI_API_KEY') : undefined
      const engine = createOpenAIEngine({ url, model, slots: 1, ...(key && { key }) })
      await engine.remote!.check(new AbortController().signal)
      return [{ bad: false, says: `${model} at ${url}` }]
    } catch (error) {
      return [{ bad: true, says: `class ${name}: ${explain(error)}` }]
    }
  })
  const found = (await Promise.all(asked)).flat()
  const bad = found.filter(one => one.bad)
  const says = (bad.length > 0 ? bad : found).map(one => one.says).join('; ')
  if (bad.length === 0) return { state: 'ok', says: says || 'engine openai is not used' }
  const remedy = 'start that server, or correct engine.url, engine.model and engine.key_file'
  // with some servers left llambo still works
  return { state: bad.length === found.length ? 'bad' : 'note', says, remedy }
}
