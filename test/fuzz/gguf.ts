/** Fuzzes the check of model files. */

import { closeSync, openSync, readSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { FsError } from '../../api/errors.js'
import { checkHeader } from '../../cluster/worker/gguf.js'
import { Header, type Source } from '../../cluster/worker/header.js'
import { architecture, gguf as file, key, tensor } from '../cluster/worker/ggufBytes.js'
import { fault, type Target } from './target.js'

const model = fileURLToPath(new URL('../../../models/llambo-tiny.gguf', import.meta.url))

/** The first bytes of the bundled model. */
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

/** How much longer than the input the file is, in bytes. */
const more = [0, 1, 64 * 1024, 1024 * 1024]
/** The length of the file if the input is repeated, in bytes: longer than a header may be. */
const MUCH = 80 * 1024 * 1024
/** The processor time that a check may take, in ms. The time by the clock depends on what else runs. */
const MAX_MS = 5000
/**
 * How much memory a check may hold, in bytes: a window, 1 MiB of keys, and the names of 65,536 keys and as many
 * tensors, to find duplicates.
 */
const MAX_HELD = 32 * 1024 * 1024
/** Bytes of a file before its first key. */
const HEAD = 24

/**
 * The check of model files: it passes, or it fails with `model file is damaged`, soon, and without much memory. The
 * first byte: 1 and 2 say by how many zeros the file is longer than the input. If the low four bits are 15, what comes
 * after the head is repeated. Each repetition then has its number as four letters, at four times the position that 16
 * to 128 say.
 */
export const gguf: Target = {
  name: 'gguf',
  words: ['GGUF', 'general.architecture', 'general.alignment', 'llama', 'split.count', 'split.no', 'general.type'],
  seeds: () => [
    ...[
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
    ...repeated(),
  ],
  async run(input) {
    const bytes = input.subarray(1)
    const options = input[0] ?? 0
    const again = (options & 15) === 15 && bytes.length > HEAD + 8
    const size = again ? MUCH : bytes.length + more[options & 3]!
    const held = new Held()
    const read = again ? readAgain(bytes, size, 4 * (options >> 4)) : readFrom(bytes, size)
    const begun = process.cpuUsage()
    try {
      await checkHeader(
        new Header(
          {
            read(...place) {
              held.look()
              return read(...place)
            },
          },
          size,
        ),
      )
    } catch (error) {
      if (!(error instanceof FsError) || !error.is('badModel')) throw error
    }
    const { user, system } = process.cpuUsage(begun)
    const took = (user + system) / 1000
    if (took > MAX_MS) fault(`the check took ${Math.round(took)} ms`)
  },
}

/** Reads from bytes that are followed by zeros, as from a file. */
function readFrom(bytes: Uint8Array, size: number): Source['read'] {
  return async (into, at, length, position) => {
    const n = Math.max(0, Math.min(length, size - position))
    into.fill(0, at, at + n)
    into.set(bytes.subarray(position, position + n), at)
    return { bytesRead: n }
  }
}

/** Headers that are longer than a header may be: keys of different names, with long texts and with numbers. */
function repeated(): Buffer[] {
  const long = 'x'.repeat(4000)
  const head = (keys: number) => file({ keys: [], tensors: [], tensorCount: 1, keyCount: keys, data: 0 })
  const once = [
    [head(65_536), key.string('0000.context_length', long)],
    [head(60_000), key.u32('0000.context_length', 7)],
  ]
  return once.map(parts => Buffer.concat([Buffer.of(15 | (2 << 4)), parts[0]!.subarray(0, HEAD), parts[1]!]))
}

/**
 * Reads the head, then the rest again and again. In each repetition the four bytes at `at` are letters that number it.
 */
function readAgain(bytes: Uint8Array, size: number, at: number): Source['read'] {
  const rest = bytes.subarray(HEAD)
  const place = at % (rest.length - 4)
  return async (into, start, length, position) => {
    const n = Math.max(0, Math.min(length, size - position))
    for (let done = 0; done < n; ) {
      const from = position + done
      const source = from < HEAD ? bytes : rest
      const offset = from < HEAD ? from : (from - HEAD) % rest.length
      const end = Math.min(from < HEAD ? HEAD : rest.length, offset + n - done)
      into.set(source.subarray(offset, end), start + done)
      if (from >= HEAD) {
        const number = Math.floor((from - HEAD) / rest.length)
        for (let i = 0; i < 4; i++)
          if (place + i >= offset && place + i < end)
            into[start + done + place + i - offset] = 97 + ((number >> (4 * i)) & 15)
      }
      done += end - offset
    }
    return { bytesRead: n }
  }
}

const collect: () => void = (() => {
  setFlagsFromString('--expose-gc')
  return runInNewContext('gc')
})()

/**
 * The memory held since this was made. It collects garbage only if much was allocated, to see how much of that is live.
 */
class Held {
  #before = process.memoryUsage()
  #garbage = 0

  look(): void {
    const grown = this.#grown()
    if (grown - this.#garbage < MAX_HELD) return
    collect()
    const live = this.#grown()
    if (live > MAX_HELD) fault(`the check holds ${live >> 20} MiB`)
    this.#garbage = live
  }

  #grown(): number {
    const { heapUsed, arrayBuffers } = process.memoryUsage()
    return heapUsed + arrayBuffers - this.#before.heapUsed - this.#before.arrayBuffers
  }
}
