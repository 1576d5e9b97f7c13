/** The hardware of this machine, for the `status` of its workers and its host. */
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import os from 'node:os'
import { type Memory, memoryReader } from '../memory.js'

/** What a machine offers a model. */
export interface Machine {
  /** The widest vector unit: `avx512`, `avx2`, `avx`, `neon`, or the architecture's name. */
  cpu: string
  /** `nvidia` or `none`: the hardware that is present, whether or not the engine can use it. */
  gpu: string
  /** Bytes of GPU memory; 0 if not known. */
  gpu_mem: number
  cores: number
  /** The memory that this process may use, and how much of that is free. */
  memory(): Memory
}

function flags(): string {
  try {
    return readFileSync('/proc/cpuinfo', 'utf8').match(/^(flags|Features)\s*:(.*)$/m)?.[2] ?? ''
  } catch {
    return ''
  }
}

/** Bytes of memory of all GPUs together, from the driver's own tool; 0 if that fails. */
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

/** Detects the hardware of this machine. */
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
