/** Checks model files (GGUF) before llama.cpp opens them. */
import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { fail } from '../../api/errors.js'
import { architectures } from './architectures.js'
import { fileError } from './file-error.js'
import { CUT, Header } from './header.js'
import { MAX_ALIGNMENT, MAX_ARRAY, MAX_ITEMS, MAX_KEY, MAX_KEYS, MAX_PARTS, MAX_TENSOR_NAME } from './limits.js'

/** What the check reads from the header. */
export interface GgufSummary {
  readonly version: number
  readonly tensors: number
  /** `general.architecture`; empty in the second and later parts of a split model, which do not have it. */
  readonly architecture: string
  /** `general.type`: `model` unless the file says `adapter` (a LoRA) or `mmproj`. */
  readonly type: string
  readonly name?: string
  /** How many tokens of context the model was trained for. */
  readonly context?: number
  /** Size of the file in bytes. */
  readonly size: number
  /** Set on one file of a split model. `number` counts from 1. */
  readonly part?: { readonly number: number; readonly of: number }
}

const STRING = 8
const ARRAY = 9
/** Size in bytes of each value type, by its number. Strings and arrays have no fixed size. */
const valueSizes = [1, 1, 2, 2, 4, 4, 4, 1, undefined, undefined, 8, 8, 8]

/** `[elements, bytes]` of one block of each tensor type (ggml.h). Numbers that are missing were withdrawn. */
const blocks: Readonly<Record<number, readonly [number, number]>> = {
  0: [1, 4], // F32
  1: [1, 2], // F16
  2: [32, 18], // Q4_0
  3: [32, 20], // Q4_1
  6: [32, 22], // Q5_0
  7: [32, 24], // Q5_1
  8: [32, 34], // Q8_0
  9: [32, 36], // Q8_1
  10: [256, 84], // Q2_K
  11: [256, 110], // Q3_K
  12: [256, 144], // Q4_K
  13: [256, 176], // Q5_K
  14: [256, 210], // Q6_K
  15: [256, 292], // Q8_K
  16: [256, 66], // IQ2_XXS
  17: [256, 74], // IQ2_XS
  18: [256, 98], // IQ3_XXS
  19: [256, 50], // IQ1_S
  20: [32, 18], // IQ4_NL
  21: [256, 110], // IQ3_S
  22: [256, 82], // IQ2_S
  23: [256, 136], // IQ4_XS
  24: [1, 1], // I8
  25: [1, 2], // I16
  26: [1, 4], // I32
  27: [1, 8], // I64
  28: [1, 8], // F64
  29: [256, 56], // IQ1_M
  30: [1, 2], // BF16
  34: [256, 54], // TQ1_0
  35: [256, 66], // TQ2_0
  39: [32, 17], // MXFP4
  40: [64, 36], // NVFP4
  41: [128, 18], // Q1_0
  42: [64, 18], // Q2_0
}

const smallestFile = 24
/**
 * Fewest bytes of a key with its value (length, one letter, type, a byte), and of a tensor (length, dimensions, type,
 * offset).
 */
const smallestKey = 14
const smallestTensor = 24

/**
 * Checks that a file is a GGUF that llama.cpp can read, before any other code opens it. Every count, length and offset
 * is checked against the file's real size, with bounded memory (a window of 256 KiB) and bounded time. Other readers
 * trust these numbers: a file of 24 bytes keeps node-llama-cpp's reader busy for ever, and a file of 60 bytes aborts
 * the process. Tensor data is not read, so the check takes no longer for a large model. The rules are those of
 * llama.cpp's gguf.cpp, which would refuse the same files later and less clearly.
 * @throws FsError `model file is damaged: RULE`; `file does not exist`, `permission denied`; the signal's reason
 */
export async function checkGguf(path: string, signal?: AbortSignal): Promise<GgufSummary> {
  signal?.throwIfAborted()
  // O_NONBLOCK: opening a named pipe must not wait for its writer
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK).catch(e => {
    throw fileError(e, basename(path))
  })
  try {
    const stat = await file.stat()
    if (!stat.isFile()) throw fail('badModel', 'not a regular file')
    return await checkHeader(new Header(file, stat.size, signal))
  } finally {
    await file.close()
  }
}

/**
 * Checks a file before it is loaded: `checkGguf`, and that it is a model and not an adapter or a projector. For the
 * first part of a split model it also checks all other parts, which llama.cpp opens by itself.
 * @returns the summary of the first part, and the bytes of all parts
 */
export async function checkModel(path: string, signal?: AbortSignal): Promise<GgufSummary & { weights: number }> {
  const first = await checkGguf(path, signal)
  if (first.type !== 'model' || first.architecture === 'clip') {
    const kind = first.architecture === 'clip' ? 'projector' : first.type
    throw fail('badModel', `not a model but ${/^[aeiou]/.test(kind) ? 'an' : 'a'} ${kind}`)
  }
  let weights = first.size
  if (!first.part) return { ...first, weights }
  const { number, of } = first.part
  if (number !== 1) throw fail('badModel', `this is part ${number} of ${of}; load part 1`)
  const [, prefix] = /^(.*)-00001-of-\d{5}\.gguf$/.exec(basename(path)) ?? []
  const count = String(of).padStart(5, '0')
  if (prefix === undefined) throw fail('badModel', `part 1 of ${of} must be called NAME-00001-of-${count}.gguf`)
  for (let i = 2; i <= of; i++) {
    const name = `${prefix}-${String(i).padStart(5, '0')}-of-${count}.gguf`
    const part = await checkGguf(join(dirname(path), name), signal)
    if (part.part?.number !== i) throw fail('badModel', `${name} is not part ${i} of ${of}`)
    weights += part.size
  }
  return { ...first, weights }
}

/** The values of a header that are used here, by key. */
type Values = Map<string, string | bigint>

/** Does what `checkGguf` does, for an open file. @throws FsError `model file is damaged: RULE` */
export async function checkHeader(h: Header): Promise<GgufSummary> {
  if (h.size < smallestFile) throw h.broken(`${h.size} bytes, a GGUF file has at least ${smallestFile}`)
  if ((await h.bytes(4)).toString('latin1') !== 'GGUF') throw h.broken('it does not begin with GGUF')
  const version = await h.u32()
  if (version !== 2 && version !== 3) {
    const bigEndian = version !== 0 && (version & 0xffff) === 0
    throw h.broken(
      bigEndian ? 'it is for big-endian machines' : `GGUF version ${version} is not supported, only 2 and 3`,
    )
  }
  const tensors = await count(h, 'tensors', smallestTensor)
  const keys = await count(h, 'keys', smallestKey)
  const values = await readKeys(h, keys)

  const part = partOf(h, values)
  const later = part !== undefined && part.number > 1
  const architecture = values.get('general.architecture')
  if (architecture === undefined && !later) throw h.broken('general.architecture is missing')
  if (typeof architecture === 'string' && !architectures.has(architecture)) {
    throw h.broken(`architecture ${JSON.stringify(printable(architecture))} is not one this llama.cpp knows`)
  }
  if (tensors === 0 && !part) throw h.broken('it has no tensors')
  await readTensors(h, tensors, alignmentOf(h, values))

  const name = values.get('general.name')
  const type = values.get('general.type')
  const context = values.get(`${architecture}.context_length`)
  return {
    version,
    tensors,
    architecture: typeof architecture === 'string' ? architecture : '',
    type: typeof type === 'string' && type ? printable(type) : 'model',
    ...(typeof name === 'string' && { name: printable(name) }),
    ...(typeof context === 'bigint' && context <= Number.MAX_SAFE_INTEGER && { context: Number(context) }),
    size: h.size,
    ...(part && { part }),
  }
}

/** Reads a count, and refuses one that cannot be true of a file of this size. */
async function count(h: Header, what: string, smallest: number): Promise<number> {
  h.what = `the number of ${what}`
  const n = await h.u64()
  if (n > MAX_ITEMS) throw h.broken(`${n} ${what}, at most ${MAX_ITEMS}`)
  if (n * BigInt(smallest) > h.size) throw h.broken(`${n} ${what} do not fit in ${h.size} bytes`)
  return Number(n)
}

/** The keys that are used here, by the type of their value. The text of any other key may be long and is not kept. */
const texts = /^general\.(architecture|name|type)$/
const integers = /^(general\.alignment|split\.(no|count)|[a-z0-9_-]+\.context_length)$/
/**
 * The type that each of these keys must have, because another type would mislead llama.cpp: string 8, uint32 4, uint16
 * 2.
 */
const types: Readonly<Record<string, number>> = {
  'general.architecture': STRING,
  'general.alignment': 4,
  'split.no': 2,
  'split.count': 2,
}

async function readKeys(h: Header, n: number): Promise<Values> {
  const values: Values = new Map()
  const seen = new Set<string>()
  let length = 0
  for (let i = 0; i < n; i++) {
    h.what = `key ${i}`
    const key = await h.name(MAX_KEY)
    if (key === '') throw h.broken(`key ${i} is empty`)
    h.what = `key ${i} (${printable(key)})`
    if (seen.has(key)) throw h.broken(`${h.what} is a duplicate`)
    if ((length += key.length) > MAX_KEYS) throw h.broken(`its keys are longer than ${MAX_KEYS} bytes together`)
    seen.add(key)
    const type = await h.u32()
    const must = types[key]
    if (must !== undefined && type !== must) throw h.broken(`${h.what} has type ${type}, not ${must}`)
    if ((type === STRING ? texts : integers).test(key)) {
      const value = await readValue(h, type)
      if (value !== undefined) values.set(key, value)
    } else await skipValue(h, type)
  }
  return values
}

/** Reads a string or an integer, and skips a value of any other type. */
async function readValue(h: Header, type: number): Promise<string | bigint | undefined> {
  if (type === STRING) return await h.text(MAX_KEY)
  if (type === 2) return BigInt((await h.bytes(2)).readUInt16LE())
  if (type === 4) return BigInt(await h.u32())
  if (type === 10) return await h.u64()
  await skipValue(h, type)
  return undefined
}

async function skipValue(h: Header, type: number): Promise<void> {
  if (type === STRING) return h.skip(await h.u64())
  if (type !== ARRAY) return h.skip(BigInt(sizeOf(h, type)))
  const element = await h.u32()
  const n = await h.u64()
  if (element === ARRAY) throw h.broken(`${h.what} is an array of arrays`)
  const smallest = element === STRING ? 8 : sizeOf(h, element)
  if (n * BigInt(smallest) > h.left) throw h.broken(`${h.what} has ${n} elements, but only ${h.left} bytes are left`)
  if (n > MAX_ARRAY) throw h.broken(`${h.what} has ${n} elements, at most ${MAX_ARRAY}`)
  if (element === STRING) await h.skipStrings(Number(n))
  else h.skip(n * BigInt(smallest))
}

function sizeOf(h: Header, type: number): number {
  const size = valueSizes[type]
  if (size === undefined) throw h.broken(`${h.what} has the unknown type ${type}`)
  return size
}

function alignmentOf(h: Header, values: Values): bigint {
  const alignment = values.get('general.alignment') ?? 32n
  if (typeof alignment !== 'bigint' || alignment === 0n || (alignment & (alignment - 1n)) !== 0n) {
    throw h.broken(`general.alignment ${alignment} is not a power of two`)
  }
  if (alignment > MAX_ALIGNMENT) throw h.broken(`general.alignment ${alignment}, at most ${MAX_ALIGNMENT}`)
  return alignment
}

function partOf(h: Header, values: Values): GgufSummary['part'] {
  const of = Number(values.get('split.count') ?? 0)
  const number = Number(values.get('split.no') ?? 0) + 1
  if (of < 2) return undefined
  if (of > MAX_PARTS || number > of) throw h.broken(`part ${number} of ${of}, at most ${MAX_PARTS}`)
  return { number, of }
}

/** Reads where the tensors are. Each must begin where the previous one ended, and all must lie within the file. */
async function readTensors(h: Header, n: number, alignment: bigint): Promise<void> {
  const pad = (x: bigint) => (x + alignment - 1n) & ~(alignment - 1n)
  const seen = new Set<string>()
  let next = 0n
  let end = 0n
  let last = ''
  for (let i = 0; i < n; i++) {
    h.what = `tensor ${i}`
    const name = await h.name(MAX_TENSOR_NAME)
    if (seen.has(name)) throw h.broken(`tensor ${i} (${printable(name)}) is a duplicate`)
    seen.add(name)
    const size = await tensorSize(h)
    const offset = await h.u64()
    if (offset !== next) throw h.broken(`tensor ${i} is at ${offset}, expected at ${next}`)
    end = offset + size
    next = pad(end)
    last = h.what
  }
  const over = pad(BigInt(h.at)) + end - BigInt(h.size)
  if (n > 0 && over > 0) throw h.broken(`${last} ends ${over} bytes past the end of the file; ${CUT}`)
}

/** Reads the dimensions and the type of a tensor. @returns its size in bytes */
async function tensorSize(h: Header): Promise<bigint> {
  const dimensions = await h.u32()
  if (dimensions > 4) throw h.broken(`${h.what} has ${dimensions} dimensions, at most 4`)
  let elements = 1n
  let row = 1n
  let bound = 1n
  for (let d = 0; d < dimensions; d++) {
    const size = await h.u64()
    if (d === 0) row = size
    elements *= size
    // a zero must not hide that the other dimensions overflow a reader's signed product
    bound *= size || 1n
    if (bound >= 1n << 63n) throw h.broken(`${h.what} has more than 2^63 elements`)
  }
  const type = await h.u32()
  const block = blocks[type]
  if (!block) throw h.broken(`${h.what} has type ${type}, which this llama.cpp does not know`)
  if (row % BigInt(block[0]) !== 0n)
    throw h.broken(`${h.what} has rows of ${row} elements, not a multiple of ${block[0]}`)
  return (elements / BigInt(block[0])) * BigInt(block[1])
}

/** Makes text from a file safe to print: no control characters, at most 80 characters. */
function printable(text: string): string {
  const clean = text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\ufffd]+/gu, '?')
  return clean.length > 80 ? `${clean.slice(0, 77)}...` : clean
}
