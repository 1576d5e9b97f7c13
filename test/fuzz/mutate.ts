/** Mutates the fuzzer's inputs. */

import { join } from '../../fs/wire/framer.js'
import { frame, unframe } from './frames.js'
import type { Random } from './random.js'

/** The longest input, in bytes, and the most messages in one. */
const MAX_INPUT = 8192
const MAX_MESSAGES = 48

/** Boundary values of integers, by width in bytes. */
const interesting: readonly (readonly [number, readonly bigint[]])[] = [
  [1, [0n, 1n, 3n, 0x10n, 0x40n, 0x7fn, 0x80n, 0xffn]],
  [2, [0n, 1n, 16n, 17n, 64n, 65n, 0xffn, 0x7fffn, 0x8000n, 0xfffen, 0xffffn]],
  [4, [0n, 1n, 2n, 3n, 4096n, 8192n, 0x10000n, 0x7fffffffn, 0x80000000n, 0xfffffffen, 0xffffffffn]],
  [8, [0n, 1n, 2n ** 31n, 2n ** 32n, 2n ** 53n - 1n, 2n ** 53n, 2n ** 63n - 1n, 2n ** 63n, 2n ** 64n - 1n]],
]

/** Changes the bytes of a copy in one place, and possibly its length. */
function mutateBytes(bytes: Uint8Array, r: Random, other: Uint8Array, words: readonly Uint8Array[]): Uint8Array {
  const at = r.below(bytes.length + 1)
  const put = (middle: Uint8Array, cut: number) => join([bytes.subarray(0, at), middle, bytes.subarray(at + cut)])
  switch (r.below(words.length ? 9 : 8)) {
    case 0: {
      const out = bytes.slice()
      if (at < out.length) out[at]! ^= 1 << r.below(8)
      return out
    }
    case 1: {
      const out = bytes.slice()
      if (at < out.length) out[at] = r.below(256)
      return out
    }
    case 2:
    case 3: {
      const [width, values] = r.of(interesting)
      const out = bytes.slice()
      let value = r.of(values)
      for (let i = at; i < Math.min(at + width, out.length); i++, value >>= 8n) out[i] = Number(value & 0xffn)
      return out
    }
    case 4: {
      const out = bytes.slice()
      if (at < out.length) out[at]! += r.below(2) ? 1 : -1
      return out
    }
    case 5:
      return put(new Uint8Array(0), 1 + r.below(8))
    case 6:
      return put(
        Uint8Array.from({ length: 1 + r.below(8) }, () => r.below(256)),
        0,
      )
    case 7: {
      const from = r.below(other.length + 1)
      return put(other.subarray(from, from + 1 + r.below(64)), r.below(2) ? 0 : r.below(64))
    }
    default:
      return put(r.of(words), 0)
  }
}

/**
 * Changes a sequence of messages: repeats, moves or drops whole ones, takes some from another input, or changes bytes
 * of one.
 */
function mutateMessages(input: Uint8Array, r: Random, other: Uint8Array): Uint8Array {
  const messages = unframe(input)
  let options = input[0] ?? 0
  const at = r.below(messages.length || 1)
  const theirs = unframe(other)
  switch (r.below(12)) {
    case 0:
      if (messages.length) messages.splice(r.below(messages.length + 1), 0, messages[at]!)
      break
    case 1:
      messages.splice(at, 1)
      break
    case 2:
      if (messages.length) messages.splice(r.below(messages.length), 0, ...messages.splice(at, 1))
      break
    case 3: {
      const from = r.below(theirs.length || 1)
      messages.splice(at, r.below(2), ...theirs.slice(from, from + 1 + r.below(4)))
      break
    }
    case 4:
      options = r.below(256)
      break
    default:
      if (messages.length) messages[at] = mutateBytes(messages[at]!, r, theirs[0] ?? other, [])
  }
  return frame(options, messages.slice(0, MAX_MESSAGES), r.below(20) > 0)
}

/** Makes a new input from one of the corpus, by one or several changes. */
export function mutate(
  input: Uint8Array,
  r: Random,
  other: Uint8Array,
  shape: { framed: boolean; words: readonly Uint8Array[] },
): Uint8Array {
  let out = input
  for (let n = 1 << r.below(4); n > 0; n--)
    out = shape.framed ? mutateMessages(out, r, other) : mutateBytes(out, r, other, shape.words)
  return out.length > MAX_INPUT ? out.slice(0, MAX_INPUT) : out
}
