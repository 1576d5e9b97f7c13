/**
 * Builds GGUF files by hand, so that each field can be wrong on its own. Lengths and counts are written as given,
 * whatever follows them.
 */

export const u16 = (n: number) => Buffer.from(Uint16Array.of(n).buffer)
export const u32 = (n: number) => Buffer.from(Uint32Array.of(n).buffer)
export const u64 = (n: number | bigint) => Buffer.from(BigUint64Array.of(BigInt(n)).buffer)
export const str = (s: string) => Buffer.concat([u64(Buffer.byteLength(s)), Buffer.from(s)])

export const key = {
  string: (name: string, value: string) => Buffer.concat([str(name), u32(8), str(value)]),
  u16: (name: string, value: number) => Buffer.concat([str(name), u32(2), u16(value)]),
  u32: (name: string, value: number) => Buffer.concat([str(name), u32(4), u32(value)]),
  array: (name: string, type: number, count: number | bigint, ...elements: Buffer[]) =>
    Buffer.concat([str(name), u32(9), u32(type), u64(count), ...elements]),
}

export const tensor = (name: string, dimensions: (number | bigint)[], type: number, offset: number | bigint) =>
  Buffer.concat([str(name), u32(dimensions.length), ...dimensions.map(u64), u32(type), u64(offset)])

export interface Parts {
  magic?: string
  version?: number
  tensorCount?: number | bigint
  keyCount?: number | bigint
  keys?: Buffer[]
  tensors?: Buffer[]
  /** Bytes after the header and its padding. */
  data?: number
  alignment?: number
}

export const architecture = key.string('general.architecture', 'llama')

/** Builds a valid file except for `parts`: two tensors, of 32 floats and of 2 x 32 Q8_0 values, 128 + 68 bytes. */
export function gguf(parts: Parts = {}): Buffer {
  const keys = parts.keys ?? [architecture, key.u32('llama.context_length', 1024), key.string('general.name', 'Test')]
  const tensors = parts.tensors ?? [tensor('a.weight', [32], 0, 0), tensor('b.weight', [32, 2], 8, 128)]
  const header = Buffer.concat([
    Buffer.from(parts.magic ?? 'GGUF'),
    u32(parts.version ?? 3),
    u64(parts.tensorCount ?? tensors.length),
    u64(parts.keyCount ?? keys.length),
    ...keys,
    ...tensors,
  ])
  const alignment = parts.alignment ?? 32
  return Buffer.concat([header, Buffer.alloc(-header.length & (alignment - 1)), Buffer.alloc(parts.data ?? 196)])
}
