/** The `gpu` check of doctor: whether there is a GPU, and whether the engine's build for it is installed. */
import { existsSync, readdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Finding } from './finding.js'

/** The packages of the engine's builds, by GPU (docs/install.md). */
const build = { cuda: 'linux-x64-cuda', vulkan: 'linux-x64-vulkan' } as const

/** Whether a driver of NVIDIA is loaded, also under WSL. */
const hasNvidia = () => ['/proc/driver/nvidia/version', '/dev/nvidiactl', '/dev/dxg'].some(existsSync)

/**
 * Whether there is a GPU that Vulkan may be able to use: a render node of the kernel, and a Vulkan driver that is not
 * the software one.
 */
function hasVulkan(): boolean {
  const nodes = existsSync('/dev/dri') ? readdirSync('/dev/dri') : []
  const drivers = ['/usr/share/vulkan/icd.d', '/etc/vulkan/icd.d'].flatMap(dir =>
    existsSync(dir) ? readdirSync(dir) : [],
  )
  return nodes.some(name => name.startsWith('renderD')) && drivers.some(name => !name.startsWith('lvp_'))
}

/** Whether a GPU build of the engine is installed beside the CPU build. */
function installed(kind: keyof typeof build): boolean {
  const engine = dirname(
    createRequire(import.meta.url).resolve('node-llama-cpp/package.json', {
      paths: [dirname(fileURLToPath(import.meta.url))],
    }),
  )
  return existsSync(join(dirname(engine), '@node-llama-cpp', build[kind], 'package.json'))
}

/**
 * Checks which GPU there is and whether the engine's build for it is installed. The remedy is the command that adds it.
 */
export function gpu(): Omit<Finding, 'name'> {
  const kind = hasNvidia() ? 'cuda' : hasVulkan() ? 'vulkan' : undefined
  if (!kind) return { state: 'ok', says: 'no GPU that llama.cpp can use; it runs on the CPU' }
  const name = kind === 'cuda' ? 'an NVIDIA GPU' : 'a GPU with a Vulkan driver'
  if (process.arch !== 'x64')
    return {
      state: 'note',
      says: `${name}, but no build of the engine for ${process.arch}`,
      remedy: 'to build one: npx node-llama-cpp source download',
    }
  if (installed(kind)) return { state: 'ok', says: `${name}; the ${kind} build is installed` }
  return { state: 'note', says: `${name}; the engine's ${kind} build is not installed`, remedy: `npm run gpu ${kind}` }
}
