import { existsSync, readdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Finding } from './findings.js'

/** Names of what the engine is packaged in, by GPU (docs/install.md). */
const build = { cuda: 'linux-x64-cuda', vulkan: 'linux-x64-vulkan' } as const

/** A driver of NVIDIA's, also under WSL, where there is a GPU to use it. */
const hasNvidia = () => ['/proc/driver/nvidia/version', '/dev/nvidiactl', '/dev/dxg'].some(existsSync)

/** A GPU that Vulkan might use: a render node of the kernel, and a driver that says it is one. */
function hasVulkan(): boolean {
  const nodes = existsSync('/dev/dri') ? readdirSync('/dev/dri') : []
  const drivers = ['/usr/share/vulkan/icd.d', '/etc/vulkan/icd.d'].flatMap(dir =>
    existsSync(dir) ? readdirSync(dir) : [],
  )
  return nodes.some(name => name.startsWith('renderD')) && drivers.some(name => !name.startsWith('lvp_'))
}

/** Whether that build of the engine is installed beside the CPU's. */
function installed(kind: keyof typeof build): boolean {
  const engine = dirname(
    createRequire(import.meta.url).resolve('node-llama-cpp/package.json', {
      paths: [dirname(fileURLToPath(import.meta.url))],
    }),
  )
  return existsSync(join(dirname(engine), '@node-llama-cpp', build[kind], 'package.json'))
}

/** What is plugged in, whether the engine's build for it is there, and the one command that adds it. */
export function gpu(): Omit<Finding, 'name'> {
  const kind = hasNvidia() ? 'cuda' : hasVulkan() ? 'vulkan' : undefined
  if (!kind) return { state: 'ok', says: 'none that llama.cpp could use; it runs on the CPU' }
  const name = kind === 'cuda' ? 'an NVIDIA GPU' : 'a GPU with a Vulkan driver'
  if (process.arch !== 'x64')
    return {
      state: 'note',
      says: `${name}, and no build for ${process.arch}`,
      remedy: 'npx node-llama-cpp source download makes one',
    }
  if (installed(kind)) return { state: 'ok', says: `${name}; the ${kind} build is installed` }
  return { state: 'note', says: `${name}; the engine's ${kind} build is not installed`, remedy: `npm run gpu ${kind}` }
}
