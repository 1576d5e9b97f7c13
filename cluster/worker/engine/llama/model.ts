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

/**
 * Loads a model file that has passed the header check.
 * @throws FsError `model file is damaged: …` with what llama.cpp says, `not enough memory for …`
 */
export async function loadModel(runtime: Runtime, path: string, signal?: AbortSignal): Promise<LlamaModel> {
  return runtime.collect(async lines => {
    try {
      return await runtime.llama.loadModel({ modelPath: path, ...(signal && { loadSignal: signal }) })
    } catch (error) {
      signal?.throwIfAborted()
      if (error instanceof runtime.library.InsufficientMemoryError) {
        const info = await runtime.library.readGgufFileInfo(path, {
          sourceType: 'filesystem',
          ...(signal && { signal }),
        })
        const insights = await runtime.library.GgufInsights.from(info, runtime.llama)
        throw await noMemory(
          runtime,
          path,
          sum(await insights.estimateModelResourceRequirementsV2({ gpuLayers: 0 })),
          error,
        )
      }
      throw fail('badModel', reason(lines, error), error)
    }
  })
}

/** Makes the context all slots share. `contextSize` is meant for each of its sequences. @throws as loadModel */
export async function makeContext(
  runtime: Runtime,
  model: LlamaModel,
  { slots, context, threads }: ContextSettings,
  signal?: AbortSignal,
): Promise<LlamaContext> {
  return runtime.collect(async lines => {
    try {
      return await model.createContext({
        sequences: slots,
        threads,
        ...(context !== undefined && { contextSize: context }),
        ...(signal && { createSignal: signal }),
      })
    } catch (error) {
      signal?.throwIfAborted()
      const contextSize = context ?? model.trainContextSize
      throw await contextError(runtime, model, { contextSize, sequences: slots }, lines, error)
    }
  })
}

/** Makes the context vectors are made in: one text at a time, of up to what the model was trained for. @throws as loadModel */
export async function makeEmbeddingContext(
  runtime: Runtime,
  model: LlamaModel,
  threads: number,
  signal: AbortSignal,
): Promise<LlamaEmbeddingContext> {
  return runtime.collect(async lines => {
    try {
      return await model.createEmbeddingContext({ threads, createSignal: signal })
    } catch (error) {
      signal.throwIfAborted()
      const size = { contextSize: model.trainContextSize, sequences: 1, isEmbeddingContext: true }
      throw await contextError(runtime, model, size, lines, error)
    }
  })
}

async function contextError(
  runtime: Runtime,
  model: LlamaModel,
  size: { contextSize: number; sequences: number; isEmbeddingContext?: boolean },
  lines: readonly string[],
  error: unknown,
): Promise<FsError> {
  if (!(error instanceof runtime.library.InsufficientMemoryError)) return fail('badModel', reason(lines, error), error)
  const needs = await model.fileInsights.estimateContextResourceRequirementsV2({
    ...size,
    modelGpuLayers: model.gpuLayers,
  })
  const what = `${model.filename ?? 'the model'} with ${size.sequences} x ${size.contextSize} tokens of context`
  return noMemory(runtime, what, sum(needs), error)
}

async function noMemory(runtime: Runtime, what: string, needs: number, error: unknown): Promise<FsError> {
  const { free } = await runtime.llama.getRamState()
  const vram = runtime.llama.gpu === false ? 0 : (await runtime.llama.getVramState()).free
  return fail('noMemory', `${basename(what)}: needs ${mib(needs)} has ${mib(free + vram)}`, error)
}

const sum = (needs: { cpuRam: number; gpuVram: number }) => needs.cpuRam + needs.gpuVram
const mib = (bytes: number) => `${Math.ceil(bytes / 2 ** 20)} MiB`

/** Why a load failed: llama.cpp's own line where it gave one (its exceptions say only that it failed). */
function reason(lines: readonly string[], error: unknown): string {
  const line = lines.find(l => /error|unknown|missing|invalid|wrong|corrupt/i.test(l)) ?? lines[0]
  return line?.replace(/^\w+: (error loading model: )?/, '') ?? (error instanceof Error ? error.message : String(error))
}
