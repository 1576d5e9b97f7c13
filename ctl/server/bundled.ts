/** The models that come with the package. */
import { fileURLToPath } from 'node:url'

/** The directory of those models. */
export const bundledModels = fileURLToPath(new URL('../../../models', import.meta.url))

/** The model that is loaded by default. */
export const bundledModel = 'llambo-tiny'
