/** The `models` check of doctor. */

import { modelDir } from '../../cli/paths.js'
import { ModelStore } from '../../cluster/worker/models.js'
import { bundledModels } from '../server/bundled.js'
import { self } from '../server/users.js'
import type { Finding } from './finding.js'

/** Checks that there are models and that none is damaged. */
export async function models(env: NodeJS.ProcessEnv): Promise<Omit<Finding, 'name'>> {
  const list = await new ModelStore([modelDir(env), bundledModels], { owner: self() }).list()
  const broken = list.find(({ problem }) => problem !== undefined)
  if (list.length === 0) {
    return {
      state: 'bad',
      says: `no models in ${modelDir(env)}, and the bundled one is missing`,
      remedy: 'install llambo again, or download a model: llamboctl pull NAME',
    }
  }
  if (broken) {
    return {
      state: 'note',
      says: `${broken.name}: ${broken.problem}`,
      remedy: `remove ${broken.path}, or download it again`,
    }
  }
  return { state: 'ok', says: list.map(({ name }) => name).join(', ') }
}
