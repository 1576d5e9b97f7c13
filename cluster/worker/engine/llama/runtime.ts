/** Starts llama.cpp in this process. */
import { availableParallelism } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import type { Llama } from 'node-llama-cpp'
import { fail } from '../../../../api/errors.js'
import { type Library, loadLibrary } from './library.js'

export type Gpu = 'auto' | 'cuda' | 'vulkan' | 'metal' | false

/**
 * Most threads by default: beyond this, decoding is bound by memory rather than cores on common machines, and a host
 * runs several workers.
 */
const MOST_THREADS = 8
/** Log lines kept for the message of a failed load. */
const LINES = 8
const LOG_DELAY_MS = 20

/** llama.cpp in this process; one instance for each kind of device. */
export interface Runtime {
  readonly library: Library
  readonly llama: Llama
  /**
   * Runs a load. llama.cpp prints its error lines to standard error; those that come during the load go to `explain`
   * instead, with the error of a load that fails.
   */
  watch<T>(load: () => Promise<T>, explain: (error: unknown, lines: readonly string[]) => Promise<never>): Promise<T>
}

const runtimes = new Map<Gpu, Promise<Runtime>>()
/**
 * The lines logged during each running load; with several loads, a line goes to all of them. One logger serves all,
 * because the library keeps only the last one that was set.
 */
const loads = new Set<string[]>()

function logger(_level: unknown, message: string): void {
  const line = message.trim()
  if (line === '') return
  if (loads.size === 0) process.stderr.write(`llama.cpp: ${line}\n`)
  for (const lines of loads) if (lines.push(line) > LINES) lines.shift()
}

/**
 * Starts llama.cpp. The first call takes about a second (importing the library, trying its binary in a separate
 * process).
 * @param gpu `auto`: the best device, or the CPU if there is no GPU
 * @throws FsError `operation not supported` if the package has no binary for this machine or device
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
  // asked for metal elsewhere, node-llama-cpp silently uses the CPU
  if (gpu === 'metal' && process.platform !== 'darwin') throw noBinary(gpu)
  const library = await loadLibrary()
  let llama: Llama
  try {
    llama = await library.getLlama({
      gpu,
      build: 'never',
      skipDownload: true,
      progressLogs: false,
      // no limit over all contexts: each gets its own threads, and the default limit would be our number of cores (at
      // least 4!)
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
        // lines come through the event loop, after the error they belong to
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
 * The default number of threads: one less than the physical cores that this process may use, which leaves one for the
 * event loop; 8 at most. With more threads than cores, llama.cpp's spinning barriers wait for each other: it is
 * hundreds of times slower, not a little.
 */
export function defaultThreads(llama: Llama): number {
  const cores = Math.min(llama.cpuMathCores, availableParallelism() - 1)
  return Math.max(1, Math.min(cores, MOST_THREADS))
}
