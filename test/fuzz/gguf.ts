import { closeSync, openSync, readSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { checkHeader } from '../../cluster/worker/gguf.js'
import { Header } from '../../cluster/worker/header.js'
import { FsError } from '../../fs/errors.js'
import { architecture, gguf as file, key, tensor } from '../cluster/worker/ggufBytes.js'
import { fault, type Target } from './target.js'

const model = fileURLToPath(new URL('../../../models/llambo-tiny.gguf', import.meta.url))

/** The first bytes of the model that comes along. */
function beginning(length: number): Buffer {
  const fd = openSync(model, 'r')
  const bytes = Buffer.alloc(length)
  try {
    readSync(fd, bytes, 0, length, 0)
  } finally {
    closeSync(fd)
  }
  return bytes
}

/** How much longer than the input the file is said to be; the rest of it is zeros. */
const more = [0, 1, 64 * 1024, 1024 * 1024]
/** A check may take no longer. */
const MAX_MS = 2000

/** The check of model files: it passes, or it fails `model file is damaged`, soon. */
export const gguf: Target = {
  name: 'gguf',
  words: ['GGUF', 'general.architecture', 'general.alignment', 'llama', 'split.count', 'split.no', 'general.type'],
  seeds: () =>
    [
      file(),
      beginning(4096),
      file({ keys: [architecture, key.array('a', 8, 2, Buffer.alloc(16)), key.array('b', 4, 3, Buffer.alloc(12))] }),
      file({
        keys: [architecture, key.u32('general.alignment', 64)],
        alignment: 64,
        tensors: [tensor('x', [32, 2, 1, 1], 2, 0)],
      }),
      file({ keys: [key.u16('split.no', 1), key.u16('split.count', 2)], tensors: [] }),
    ].flatMap(bytes => [0, 2].map(n => Buffer.concat([Buffer.of(n), bytes]))),
  async run(input) {
    const bytes = input.subarray(1)
    const size = bytes.length + more[(input[0] ?? 0) % more.length]!
    const begun = performance.now()
    try {
      await checkHeader(new Header({ read: readFrom(bytes, size) }, size))
    } catch (error) {
      if (!(error instanceof FsError) || !error.is('badModel')) throw error
    }
    const took = performance.now() - begun
    if (took > MAX_MS) fault(`the check took ${Math.round(took)} ms`)
  },
}

/** Reads from bytes that zeros follow, as from a file. */
function readFrom(bytes: Uint8Array, size: number) {
  return async (into: Buffer, at: number, length: number, position: number) => {
    const n = Math.max(0, Math.min(length, size - position))
    into.fill(0, at, at + n)
    into.set(bytes.subarray(position, position + n), at)
    return { bytesRead: n, buffer: into }
  }
}
