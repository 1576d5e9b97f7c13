/** Everything that is fuzzed. */

import { client } from './client.js'
import { codec, lines } from './codec.js'
import { contract } from './contract.js'
import { dish } from './dish.js'
import { fuse } from './fuse.js'
import { gguf } from './gguf.js'
import { request } from './request.js'
import { server } from './server.js'
import type { Target } from './target.js'
import { terminal } from './terminal.js'

export const targets: readonly Target[] = [server, client, fuse, codec, lines, gguf, request, contract, dish, terminal]
