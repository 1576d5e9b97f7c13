/** Installs the Debian packages that a suite needs. */

import { spawnSync } from 'node:child_process'

const installed = (name: string): boolean =>
  /^Status: .* installed$/m.test(spawnSync('dpkg', ['-s', name], { encoding: 'utf8' }).stdout ?? '')

/** Installs Debian packages that are missing. Returns why some could not be installed, or undefined. */
export function need(packages: readonly string[]): string | undefined {
  const missing = packages.filter(name => !installed(name))
  if (missing.length === 0) return undefined
  const how = `apt-get install ${missing.join(' ')}`
  if (process.getuid?.() !== 0) return `${how} (not root)`
  process.stdout.write(`installing ${missing.join(' ')}\n`)
  const run = (args: string[]) =>
    spawnSync('apt-get', args, {
      stdio: ['ignore', 'ignore', 'inherit'],
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    })
  const install = ['install', '-y', '--no-install-recommends', ...missing]
  if (run(install).status !== 0) {
    run(['update'])
    run(install)
  }
  return missing.every(installed) ? undefined : `${how} failed`
}
