import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import os from 'node:os'
import { type Memory, memoryReader } from '../memory.js'

/** What a machine offers a model, for the capability record. */
export interface Machine {
  /** The widest vector unit: `avx512`, `avx2`, `avx`, `neon`, or the architecture's name. */
  cpu: string
  /** `nvidia` or `none`: what is plugged in, whether or not the engine's build uses it. */
  gpu: string
  /** Bytes of its memory; 0 where that is not known. */
  gpu_mem: number
  cores: number
  /** What this process may use of it, and what is free of that. */
  memory(): Memory
}

function flags(): string {
  try {
    return readFileSync('/proc/cpuinfo', 'utf8').match(/^(flags|Features)\s*:(.*)$/m)?.[2] ?? ''
  } catch {
    return ''
  }
}

/** Bytes of memory of all GPUs together, as their driver's own tool says; 0 where it does not. */
function gpuMemory(): number {
  const args = ['--query-gpu=memory.total', '--format=csv,noheader,nounits']
  try {
    const out = execFileSync('nvidia-smi', args, {
      encoding: 'utf8',
      timeout: 3_000,
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    return out.split('\n').reduce((sum, mebibytes) => sum + (Number(mebibytes) || 0), 0) * 1024 * 1024
  } catch {
    return 0
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
  const nvidia = existsSync('/proc/driver/nvidia/version')
  return {
    cpu: unit?.[1] ?? os.arch(),
    gpu: nvidia ? 'nvidia' : 'none',
    gpu_mem: nvidia ? gpuMemory() : 0,
    cores: os.availableParallelism(),
    memory: memoryReader(),
  }
}
