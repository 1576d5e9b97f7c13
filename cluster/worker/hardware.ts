import { existsSync, readFileSync } from 'node:fs'
import os from 'node:os'

/** What a machine offers a model, for the capability record. */
export interface Hardware {
  /** The widest vector unit: `avx512`, `avx2`, `avx`, `neon`, or the architecture's name. */
  cpu: string
  /** `nvidia` or `none`: what is plugged in, whether or not the engine's build uses it. */
  gpu: string
}

function flags(): string {
  try {
    return readFileSync('/proc/cpuinfo', 'utf8').match(/^(flags|Features)\s*:(.*)$/m)?.[2] ?? ''
  } catch {
    return ''
  }
}

/** Looks at this machine once. */
export function hardware(): Hardware {
  const has = flags()
  const unit = [
    ['avx512f', 'avx512'],
    ['avx2', 'avx2'],
    ['avx', 'avx'],
    ['asimd', 'neon'],
  ].find(([flag]) => new RegExp(`\\b${flag}\\b`).test(has))
  return { cpu: unit?.[1] ?? os.arch(), gpu: existsSync('/proc/driver/nvidia/version') ? 'nvidia' : 'none' }
}

/** Bytes of memory this process could still take: what the kernel calls available. */
export function memory(): { total: number; free: number } {
  const total = os.totalmem()
  try {
    const kib = readFileSync('/proc/meminfo', 'utf8').match(/^MemAvailable:\s+(\d+) kB/m)?.[1]
    if (kib) return { total, free: Number(kib) * 1024 }
  } catch {}
  return { total, free: os.freemem() }
}
