import { availableParallelism } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import type { Llama } from 'node-llama-cpp'
import { fail } from '../../../../fs/errors.js'
import { type Library, loadLibrary } from './library.js'

export type Gpu = 'auto' | 'cuda' | 'vulkan' | 'metal' | false

/** Past this, decoding is bound by memory, not by cores, on common machines; and a host runs several workers. */
const MOST_THREADS = 8
/** Log lines kept for the message of a load that fails. */
const LINES = 8
const LOG_DELAY_MS = 20

/** llama.cpp in this process, once for each kind of device. */
export interface Runtime {
  readonly library: Library
  readonly llama: Llama
  /**
   * Runs a load. llama.cpp's error lines go to standard error, but those that come meanwhile to `explain`, with the error of a
   * load that fails.
   */
  watch<T>(load: () => Promise<T>, explain: (error: unknown, lines: readonly string[]) => Promise<never>): Promise<T>
}

const runtimes = new Map<Gpu, Promise<Runtime>>()
/** The lines each load that runs has caused, perhaps with the others. One logger serves all: the library keeps the last set. */
const loads = new Set<string[]>()

function logger(_level: unknown, message: string): void {
  const line = message.trim()
  if (line === '') return
  if (loads.size === 0) process.stderr.write(`llama.cpp: ${line}\n`)
  for (const lines of loads) if (lines.push(line) > LINES) lines.shift()
}

/**
 * Starts llama.cpp: costs about a second the first time (importing the library, trying its binary in a process of its own).
 * @param gpu `auto`: the best there is, the CPU where there is none
 * @throws FsError `operation not supported` where the package has no binary for this machine or device
 */
export function startRuntime(gpu: Gpu): Promise<Runtime> {
  let runtime = runtimes.get(gpu)
  if (!runtime) {
    runtime = start(gpu)
    runtime.catch(() => runtimes.delete(gpu))
    runtimes.set(gpu, runtime)
  }
  return runtime
}

async function start(gpu: Gpu): Promise<Runtime> {
  // Asked for metal elsewhere, node-llama-cpp takes the CPU without a word.
  if (gpu === 'metal' && process.platform !== 'darwin') throw noBinary(gpu)
  const library = await loadLibrary()
  let llama: Llama
  try {
    llama = await library.getLlama({
      gpu,
      build: 'never',
      skipDownload: true,
      progressLogs: false,
      // No cap over all contexts: each is given its threads, and a cap of our cores (at least 4!) is what it would be.
      maxThreads: 0,
      logLevel: library.LlamaLogLevel.error,
      logger,
    })
  } catch (error) {
    throw noBinary(gpu, error)
  }
  return {
    library,
    llama,
    async watch(load, explain) {
      const lines: string[] = []
      loads.add(lines)
      try {
        return await load()
      } catch (error) {
        // Lines come through the event loop, after the error they belong to.
        await delay(LOG_DELAY_MS)
        return await explain(error, lines)
      } finally {
        loads.delete(lines)
      }
    },
  }
}

const noBinary = (gpu: Gpu, cause?: unknown) =>
  fail('notSupported', `llama.cpp has no binary for ${gpu || 'the CPU'} here: see llamboctl doctor`, cause)

/**
 * Threads if nobody says: the physical cores this process may use but one, which is for the event loop, and 8 at most.
 * More than there are makes llama.cpp's spinning barriers wait for each other: hundreds of times slower, not a little.
 */
export function defaultThreads(llama: Llama): number {
  const cores = Math.min(llama.cpuMathCores, availableParallelism() - 1)
  return Math.max(1, Math.min(cores, MOST_THREADS))
}
