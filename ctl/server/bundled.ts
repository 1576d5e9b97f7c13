import { fileURLToPath } from 'node:url'

/** The models that come with the package. */
export const bundledModels = fileURLToPath(new URL('../../../models', import.meta.url))

/** The one that is loaded unless another is asked for. */
export const bundledModel = 'llambo-tiny'
