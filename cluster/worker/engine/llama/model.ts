/** Loads a model and makes its contexts, and refuses those that do not fit in memory. */
import { basename } from 'node:path'
import type { LlamaContext, LlamaEmbeddingContext, LlamaModel } from 'node-llama-cpp'
import { type FsError, fail } from '../../../../api/errors.js'
import { memoryReader } from '../../../memory.js'
import { defaultContext, fits, type Memory } from './context.js'
import type { Runtime } from './runtime.js'

/** Types of the KV cache. A quantised one takes half or a quarter of the memory, and makes answers somewhat worse. */
export const kvTypes = ['f16', 'q8_0', 'q4_0'] as const
export type KvType = (typeof kvTypes)[number]

interface ContextSettings {
  readonly slots: number
  /** Tokens of each slot; undefined: `defaultContext`. */
  readonly context: number | undefined
  readonly kvType: KvType
  readonly threads: number
}

/**
 * Loads a model file that has passed the header check.
 * @param size bytes of all its parts; 0: not checked
 * @throws FsError `model file is damaged: …` with llama.cpp's message, `not enough memory for …`
 */
export async function loadModel(
  runtime: Runtime,
  path: string,
  size = 0,
  signal?: AbortSignal,
  onLoadProgress: (share: number) => void = () => undefined,
): Promise<LlamaModel> {
  const room = await free(runtime)
  // the weights are read from the file again and again; if they do not stay in memory, a token takes seconds
  if (!fits({ cpuRam: size, gpuVram: 0 }, { ...room, cpuRam: room.cpuRam + room.gpuVram }))
    throw noMemory(basename(path), { cpuRam: size, gpuVram: 0 }, room)
  await limit(runtime)
  const load = () => runtime.llama.loadModel({ modelPath: path, onLoadProgress, ...(signal && { loadSignal: signal }) })
  return runtime.watch(load, async (error, lines) => {
    signal?.throwIfAborted()
    const { GgufInsights, InsufficientMemoryError, readGgufFileInfo } = runtime.library
    if (!(error instanceof InsufficientMemoryError)) throw fail('badModel', reason(error, lines), error)
    const insights = await GgufInsights.from(await readGgufFileInfo(path, { sourceType: 'filesystem' }), runtime.llama)
    const needs = await insights.estimateModelResourceRequirementsV2({ gpuLayers: 0 })
    throw noMemory(basename(path), needs, await free(runtime))
  })
}

/**
 * Makes the context that all slots share.
 * @param weights bytes of the model's files: that memory looks free, since it is page cache, but is in use
 * @throws FsError `not enough memory for MODEL…: needs A has B`
 */
export async function makeContext(
  runtime: Runtime,
  model: LlamaModel,
  { slots, context, kvType, threads }: ContextSettings,
  weights: number,
  signal?: AbortSignal,
): Promise<LlamaContext> {
  const type = runtime.library.GgmlType[kvType.toUpperCase() as Uppercase<KvType>]
  const kv = { kvCacheKeyType: type, kvCacheValueType: type }
  const base = { sequences: slots, modelGpuLayers: model.gpuLayers, ...kv }
  // the cache alone, by arithmetic: node-llama-cpp tries contexts out, which takes minutes for hopeless ones
  const costs = (contextSize: number) =>
    model.fileInsights.estimateContextResourceRequirements({ ...base, contextSize, includeGraphOverhead: false })
  const room = await free(runtime)
  const has = { ...room, cpuRam: Math.max(0, room.cpuRam - (model.gpuLayers > 0 ? 0 : weights)) }
  const contextSize = context ?? defaultContext(model.trainContextSize, costs, has)
  const what = `${model.filename} with ${slots} x ${contextSize} tokens of context`
  if (!fits(costs(contextSize), has)) throw noMemory(what, costs(contextSize), has)
  const make = () =>
    model.createContext({
      // node-llama-cpp means the size of each sequence; it makes room for `slots` times as much
      contextSize,
      sequences: slots,
      threads,
      experimentalKvCacheKeyType: type,
      experimentalKvCacheValueType: type,
      ...(signal && { createSignal: signal }),
    })
  await limit(runtime)
  return runtime.watch(make, async (error, lines) => {
    signal?.throwIfAborted()
    if (!(error instanceof runtime.library.InsufficientMemoryError)) throw fail('io', reason(error, lines), error)
    const needs = await model.fileInsights.estimateContextResourceRequirementsV2({ ...base, contextSize })
    throw noMemory(what, needs, await free(runtime))
  })
}

/**
 * Makes the context in which vectors are computed: one text at a time, of at most `context` tokens.
 * @throws as makeContext
 */
export async function makeEmbeddingContext(
  runtime: Runtime,
  model: LlamaModel,
  { context, threads }: { readonly context: number; readonly threads: number },
): Promise<LlamaEmbeddingContext> {
  const make = () => model.createEmbeddingContext({ contextSize: context, threads })
  return runtime.watch(make, async (error, lines) => {
    if (!(error instanceof runtime.library.InsufficientMemoryError)) throw fail('io', reason(error, lines), error)
    const size = { contextSize: context, sequences: 1, isEmbeddingContext: true, modelGpuLayers: model.gpuLayers }
    const needs = await model.fileInsights.estimateContextResourceRequirementsV2(size)
    throw noMemory(`vectors of ${model.filename}`, needs, await free(runtime))
  })
}

const memory = memoryReader()

/** Bytes that are free for this process. */
async function free({ llama }: Runtime): Promise<Memory> {
  const gpuVram = llama.gpu === false ? 0 : (await llama.getVramState()).free
  return { cpuRam: memory().free, gpuVram }
}

/** Tells node-llama-cpp, which looks at the memory of the machine, how much of it the cgroup leaves. */
async function limit({ llama }: Runtime): Promise<void> {
  await llama.setRamCap((await llama.getLlamaMemoryUsage()).cpuRam + memory().free)
}

function noMemory(what: string, needs: Memory, has: Memory): FsError {
  const mib = ({ cpuRam, gpuVram }: Memory) => `${Math.ceil((cpuRam + gpuVram) / 2 ** 20)} MiB`
  return fail('noMemory', `${what}: needs ${mib(needs)} has ${mib(has)}`)
}

/** Why a load failed: llama.cpp's own line if it printed one (node-llama-cpp only says that it failed). */
function reason(error: unknown, lines: readonly string[]): string {
  const line = lines.find(l => l.includes('error')) ?? lines[0]
  return line?.replace(/^\w+: (error loading model: )*/, '') ?? (error instanceof Error ? error.message : String(error))
}
