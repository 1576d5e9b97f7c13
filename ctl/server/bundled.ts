import { fileURLToPath } from 'node:url'

/** The models that come with the package. */
export const bundledModels = fileURLToPath(new URL('../../../models', import.meta.url))
