/** Writes models of random weights. */

import { createCipheriv } from 'node:crypto'
import { closeSync, openSync, writeSync } from 'node:fs'
import { key, str, tensor, u32, u64 } from '../test/cluster/worker/ggufBytes.js'

/** The shape of a random model. `heads` divides `width`, and widths are multiples of 32 (a block of Q8_0). */
export interface Shape {
  width: number
  layers: number
  heads: number
  kvHeads: number
  /** Width of the feed-forward layers. */
  forward: number
  vocabulary: number
  context: number
}

/** 125 million weights, 134 MB. */
export const MEDIUM: Shape = {
  width: 768,
  layers: 12,
  heads: 12,
  kvHeads: 4,
  forward: 2048,
  vocabulary: 32000,
  context: 2048,
}
/** 1.3 million weights: a token costs next to nothing, so that the cost of everything around it shows. */
export const SMALL: Shape = {
  width: 128,
  layers: 4,
  heads: 4,
  kvHeads: 2,
  forward: 384,
  vocabulary: 2048,
  context: 2048,
}

const F32 = 0
const Q8_0 = 8
const BLOCK = 34

/** The template of ChatML, which most small models have. */
const template = `{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}`

/** The 256 bytes as byte-level BPE writes them (GPT-2's table). */
function byteTokens(): string[] {
  let next = 256
  return Array.from({ length: 256 }, (_, b) => {
    const printable = (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174
    return String.fromCharCode(printable ? b : next++)
  })
}

/** The vocabulary: bytes, then words of one, two and three syllables, with the merges that make them. */
function vocabulary(size: number): { tokens: string[]; types: number[]; merges: string[] } {
  const tokens = ['<unk>', '<s>', '</s>', '<|im_start|>', '<|im_end|>', ...byteTokens()]
  const types = tokens.map((_, i) => (i === 0 ? 2 : i < 5 ? 3 : 1))
  const merges: string[] = []
  const syllables = [...'bcdfghjklmnpqrstvwxyz'].flatMap(c => [...'aeiou'].map(v => c + v))
  const add = (a: string, b: string) => {
    if (tokens.length >= size) return
    tokens.push(a + b)
    types.push(1)
    merges.push(`${a} ${b}`)
  }
  for (const s of syllables) add(s[0]!, s[1]!)
  const words = syllables.flatMap(a => syllables.map(b => [a, b] as const))
  for (const [a, b] of words) add(a, b)
  for (const [a, b] of words) for (const c of syllables) add(a + b, c)
  return { tokens, types, merges }
}

/** The half-precision number nearest to a small positive one (IEEE 754, normal range). */
function half(x: number): number {
  const exponent = Math.floor(Math.log2(x))
  return ((exponent + 15) << 10) + Math.round((x / 2 ** exponent - 1) * 1024)
}

/**
 * Q8_0 weights with mean zero and the given standard deviation: random bytes, with one scale for all blocks. The same
 * name gives the same weights.
 */
function weights(name: string, elements: number, deviation: number): Buffer {
  const keystream = createCipheriv('aes-128-ctr', Buffer.alloc(16, name), Buffer.alloc(16))
  const out = keystream.update(Buffer.alloc((elements / 32) * BLOCK))
  const scale = half(deviation / 73.9)
  for (let at = 0; at < out.length; at += BLOCK) out.writeUInt16LE(scale, at)
  return out
}

/** Writes a llama model of random weights in GGUF. All it says is nonsense, at the same cost as sense. */
export function writeModel(path: string, shape: Shape): void {
  const { width, layers, heads, kvHeads, forward, context } = shape
  const words = vocabulary(shape.vocabulary)
  const number = (name: string, value: number) => key.u32(name, value)
  const f32 = (name: string, value: number) =>
    Buffer.concat([str(name), u32(6), Buffer.from(Float32Array.of(value).buffer)])
  const strings = (name: string, list: string[]) => key.array(name, 8, list.length, ...list.map(str))
  const keys = [
    key.string('general.architecture', 'llama'),
    key.string('general.name', 'random'),
    number('general.file_type', 7),
    number('general.quantization_version', 2),
    number('llama.block_count', layers),
    number('llama.context_length', context),
    number('llama.embedding_length', width),
    number('llama.feed_forward_length', forward),
    number('llama.attention.head_count', heads),
    number('llama.attention.head_count_kv', kvHeads),
    f32('llama.attention.layer_norm_rms_epsilon', 1e-5),
    number('llama.rope.dimension_count', width / heads),
    number('llama.vocab_size', shape.vocabulary),
    key.string('tokenizer.ggml.model', 'gpt2'),
    key.string('tokenizer.ggml.pre', 'gpt-2'),
    strings('tokenizer.ggml.tokens', words.tokens),
    key.array('tokenizer.ggml.token_type', 5, words.types.length, ...words.types.map(u32)),
    strings('tokenizer.ggml.merges', words.merges),
    number('tokenizer.ggml.bos_token_id', 1),
    number('tokenizer.ggml.eos_token_id', 4),
    number('tokenizer.ggml.unknown_token_id', 0),
    key.string('tokenizer.chat_template', template),
  ]
  const kv = (width / heads) * kvHeads
  const tensors: { name: string; dimensions: number[]; deviation?: number }[] = [
    { name: 'token_embd.weight', dimensions: [width, shape.vocabulary], deviation: 1 },
    { name: 'output.weight', dimensions: [width, shape.vocabulary], deviation: 3 / Math.sqrt(width) },
    { name: 'output_norm.weight', dimensions: [width] },
    ...Array.from({ length: layers }, (_, i) =>
      [
        { name: 'attn_norm', dimensions: [width] },
        { name: 'attn_q', dimensions: [width, width], deviation: 2 / Math.sqrt(width) },
        { name: 'attn_k', dimensions: [width, kv], deviation: 2 / Math.sqrt(width) },
        { name: 'attn_v', dimensions: [width, kv], deviation: 1 / Math.sqrt(width) },
        { name: 'attn_output', dimensions: [width, width], deviation: 1 / Math.sqrt(width) },
        { name: 'ffn_norm', dimensions: [width] },
        { name: 'ffn_gate', dimensions: [width, forward], deviation: 1 / Math.sqrt(width) },
        { name: 'ffn_up', dimensions: [width, forward], deviation: 1 / Math.sqrt(width) },
        { name: 'ffn_down', dimensions: [forward, width], deviation: 1 / Math.sqrt(forward) },
      ].map(t => ({ ...t, name: `blk.${i}.${t.name}.weight` })),
    ).flat(),
  ]
  // the size of every tensor is a multiple of the alignment, 32, so there is nothing between tensors
  let offset = 0
  const infos = tensors.map(({ name, dimensions, deviation }) => {
    const elements = dimensions.reduce((a, b) => a * b)
    const info = tensor(name, dimensions, deviation === undefined ? F32 : Q8_0, offset)
    offset += deviation === undefined ? elements * 4 : (elements / 32) * BLOCK
    return info
  })
  const header = Buffer.concat([Buffer.from('GGUF'), u32(3), u64(tensors.length), u64(keys.length), ...keys, ...infos])
  const file = openSync(path, 'w')
  writeSync(file, header)
  writeSync(file, Buffer.alloc(-header.length & 31))
  for (const { name, dimensions, deviation } of tensors) {
    const elements = dimensions.reduce((a, b) => a * b)
    writeSync(file, deviation === undefined ? new Float32Array(elements).fill(1) : weights(name, elements, deviation))
  }
  closeSync(file)
}
