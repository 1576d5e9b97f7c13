import { availableParallelism } from 'node:os'
import type { Llama } from 'node-llama-cpp'
import { fail } from '../../../../fs/errors.js'

export type Library = typeof import('node-llama-cpp')
export type Gpu = 'auto' | 'cuda' | 'vulkan' | 'metal' | false

/** Past this, decoding is bound by memory, not by cores, on common machines; and a host runs several workers. */
const MOST_THREADS = 8
/** Log lines kept for the message of a load that fails. */
const LINES = 8

/** llama.cpp in this process, once for each kind of device. */
export interface Runtime {
  readonly library: Library
  readonly llama: Llama
  /** Runs a load, during which llama.cpp's error lines go to `lines` and not to standard error. */
  collect<T>(load: (lines: readonly string[]) => Promise<T>): Promise<T>
}

const runtimes = new Map<Gpu, Promise<Runtime>>()

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
  const library = await import('node-llama-cpp')
  const loads = new Set<string[]>()
  const logger = (_level: unknown, message: string) => {
    const line = message.trim()
    if (line === '') return
    if (loads.size === 0) process.stderr.write(`llama.cpp: ${line}\n`)
    for (const lines of loads) if (lines.push(line) > LINES) lines.shift()
  }
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
    const device = gpu === false || gpu === 'auto' ? 'the CPU' : gpu
    throw fail('notSupported', `llama.cpp has no binary for ${device} here: see llamboctl doctor`, error)
  }
  return {
    library,
    llama,
    async collect(load) {
      const lines: string[] = []
      loads.add(lines)
      try {
        return await load(lines)
      } finally {
        loads.delete(lines)
      }
    },
  }
}

/**
 * Threads if nobody says: the physical cores this process may use but one, which is for the event loop, and 8 at most.
 * More than there are makes llama.cpp's spinning barriers wait for each other: hundreds of times slower, not a little.
 */
export function defaultThreads(llama: Llama): number {
  const cores = Math.min(llama.cpuMathCores, availableParallelism() - 1)
  return Math.max(1, Math.min(cores, MOST_THREADS))
}
