/**
 * `npm run lock`: writes package-lock.json again so that it is the same on every machine, whatever registry that
 * machine uses.
 *
 * - There is no `resolved`: a lock with addresses would tie everyone to the registry of the person who wrote it.
 * - Every optional build for another platform is listed, also where this machine's registry does not have it: npm ci
 *   requires all of them in the lock, and skips them by their os, cpu and libc.
 * - The engine's builds for ARM are marked as for ARM. Their own manifests also say x64 (to package applications for
 *   another machine), which would cost every PC 33 MB.
 * - The engine's GPU builds for Linux (610 MB), which package.json overrides with a version that does not exist, are
 *   skipped everywhere: `npm run gpu` adds the one that a machine can use (docs/install.md).
 */
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'

const words = {
  os: {
    linux: 'linux',
    darwin: 'darwin',
    mac: 'darwin',
    win32: 'win32',
    win: 'win32',
    android: 'android',
    freebsd: 'freebsd',
    openbsd: 'openbsd',
  },
  cpu: { x64: 'x64', arm64: 'arm64', arm: 'arm', armv7l: 'arm', ia32: 'ia32', riscv64: 'riscv64', loong64: 'loong64' },
  libc: { musl: 'musl', gnu: 'glibc' },
}

/** The platform that a package's name contains: `@biomejs/cli-linux-x64-musl` is for os linux, cpu x64, libc musl. */
export function platform(name) {
  const parts = name.split(/[/_-]/)
  return Object.fromEntries(
    Object.entries(words)
      .map(([field, known]) => [field, parts.filter(part => known[part]).map(part => known[part])])
      .filter(([, values]) => values.length > 0),
  )
}

/** Changes a parsed lock in place, as described above. */
export function complete(lock, overrides) {
  const packages = lock.packages
  for (const entry of Object.values(packages)) delete entry.resolved
  for (const entry of Object.values(packages)) {
    for (const [name, range] of Object.entries(entry.optionalDependencies ?? {})) {
      const version = overrides[name] ?? range.replace(/^[~^]/, '')
      const path = `node_modules/${name}`
      if (overrides[name]) packages[path] = { version, os: ['none'], optional: true }
      else packages[path] ??= { version, ...platform(name), ...(entry.dev && { dev: true }), optional: true }
    }
  }
  for (const [path, entry] of Object.entries(packages)) {
    if (path.startsWith('node_modules/@node-llama-cpp/linux-arm')) entry.cpu = platform(path).cpu
  }
  lock.packages = Object.fromEntries(Object.entries(packages).sort(([a], [b]) => a.localeCompare(b, 'en')))
}

if (import.meta.url === `file://${process.argv[1]}`) {
  execFileSync('npm', ['install', '--package-lock-only', '--ignore-scripts'], { stdio: 'inherit' })
  const lock = JSON.parse(readFileSync('package-lock.json', 'utf8'))
  complete(lock, JSON.parse(readFileSync('package.json', 'utf8')).overrides)
  writeFileSync('package-lock.json', `${JSON.stringify(lock, null, 2)}\n`)
}
