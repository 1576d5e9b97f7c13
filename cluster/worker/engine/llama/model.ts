import { basename } from 'node:path'
import type { LlamaContext, LlamaEmbeddingContext, LlamaModel } from 'node-llama-cpp'
import { type FsError, fail } from '../../../../fs/errors.js'
import type { Runtime } from './runtime.js'

interface ContextSettings {
  readonly slots: number
  /** Tokens of each slot; undefined: what the model was trained for, as far as memory goes. */
  readonly context: number | undefined
  readonly threads: number
}

interface Memory {
  readonly cpuRam: number
  readonly gpuVram: number
}

/**
 * Loads a model file that has passed the header check.
 * @throws FsError `model file is damaged: …` with what llama.cpp says, `not enough memory for …`
 */
export async function loadModel(
  runtime: Runtime,
  path: string,
  signal?: AbortSignal,
  onLoadProgress: (share: number) => void = () => undefined,
): Promise<LlamaModel> {
  const load = () => runtime.llama.loadModel({ modelPath: path, onLoadProgress, ...(signal && { loadSignal: signal }) })
  return runtime.watch(load, async (error, lines) => {
    signal?.throwIfAborted()
    const { GgufInsights, InsufficientMemoryError, readGgufFileInfo } = runtime.library
    if (!(error instanceof InsufficientMemoryError)) throw fail('badModel', reason(error, lines), error)
    const insights = await GgufInsights.from(await readGgufFileInfo(path, { sourceType: 'filesystem' }), runtime.llama)
    throw await noMemory(runtime, basename(path), await insights.estimateModelResourceRequirementsV2({ gpuLayers: 0 }))
  })
}

/** Makes the context all slots share. @throws FsError `not enough memory for MODEL…: needs A has B` */
export async function makeContext(
  runtime: Runtime,
  model: LlamaModel,
  { slots, context, threads }: ContextSettings,
  signal?: AbortSignal,
): Promise<LlamaContext> {
  const size = { contextSize: context ?? model.trainContextSize, sequences: slots, modelGpuLayers: model.gpuLayers }
  const what = `${model.filename} with ${slots} x ${size.contextSize} tokens of context`
  if (context !== undefined) {
    // The cache alone, by arithmetic: node-llama-cpp tries contexts out, which for hopeless ones takes minutes.
    const needs = model.fileInsights.estimateContextResourceRequirements({ ...size, includeGraphOverhead: false })
    if (needs.cpuRam + needs.gpuVram > (await free(runtime))) throw await noMemory(runtime, what, needs)
  }
  const make = () =>
    model.createContext({
      // Of each sequence, in node-llama-cpp's terms; it makes room for slots times as much.
      ...(context !== undefined && { contextSize: context }),
      sequences: slots,
      threads,
      ...(signal && { createSignal: signal }),
    })
  return runtime.watch(make, async (error, lines) => {
    signal?.throwIfAborted()
    if (!(error instanceof runtime.library.InsufficientMemoryError)) throw fail('io', reason(error, lines), error)
    throw await noMemory(runtime, what, await model.fileInsights.estimateContextResourceRequirementsV2(size))
  })
}

/** Makes the context vectors are made in: one text at a time, of `context` tokens. @throws as makeContext */
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
    throw await noMemory(runtime, `vectors of ${model.filename}`, needs)
  })
}

/** Bytes that are free, of the machine and its GPU. */
async function free({ llama }: Runtime): Promise<number> {
  const vram = llama.gpu === false ? 0 : (await llama.getVramState()).free
  return (await llama.getRamState()).free + vram
}

async function noMemory(runtime: Runtime, what: string, needs: Memory): Promise<FsError> {
  const mib = (bytes: number) => `${Math.ceil(bytes / 2 ** 20)} MiB`
  return fail('noMemory', `${what}: needs ${mib(needs.cpuRam + needs.gpuVram)} has ${mib(await free(runtime))}`)
}

/** Why it failed: llama.cpp's own line where it gave one (node-llama-cpp says only that it failed). */
function reason(error: unknown, lines: readonly string[]): string {
  const line = lines.find(l => l.includes('error')) ?? lines[0]
  return line?.replace(/^\w+: (error loading model: )*/, '') ?? (error instanceof Error ? error.message : String(error))
}
