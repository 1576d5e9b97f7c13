import { existsSync, readFileSync } from 'node:fs'
import os from 'node:os'

/** What a machine offers a model, for the capability record. */
export interface Machine {
  /** The widest vector unit: `avx512`, `avx2`, `avx`, `neon`, or the architecture's name. */
  cpu: string
  /** `nvidia` or `none`: what is plugged in, whether or not the engine's build uses it. */
  gpu: string
  /** Bytes of its memory; 0 where that is not known. */
  gpu_mem: number
  cores: number
  /** Bytes of memory, and how many of them a process could still take. */
  memory(): { total: number; free: number }
}

function flags(): string {
  try {
    return readFileSync('/proc/cpuinfo', 'utf8').match(/^(flags|Features)\s*:(.*)$/m)?.[2] ?? ''
  } catch {
    return ''
  }
}

/** Looks at this machine. */
export function thisMachine(): Machine {
  const has = flags()
  const unit = [
    ['avx512f', 'avx512'],
    ['avx2', 'avx2'],
    ['avx', 'avx'],
    ['asimd', 'neon'],
  ].find(([flag]) => new RegExp(`\\b${flag}\\b`).test(has))
  return {
    cpu: unit?.[1] ?? os.arch(),
    gpu: existsSync('/proc/driver/nvidia/version') ? 'nvidia' : 'none',
    gpu_mem: 0,
    cores: os.availableParallelism(),
    memory,
  }
}

/** What a process could still take is what the kernel calls available. */
function memory(): { total: number; free: number } {
  const total = os.totalmem()
  try {
    const kib = readFileSync('/proc/meminfo', 'utf8').match(/^MemAvailable:\s+(\d+) kB/m)?.[1]
    if (kib) return { total, free: Number(kib) * 1024 }
  } catch {}
  return { total, free: os.freemem() }
}
