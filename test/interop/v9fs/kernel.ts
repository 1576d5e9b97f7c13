/** Provides the kernels that the guests boot. */

import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { basename, join } from 'node:path'

/** A kernel to boot, and the modules that a mount over TCP needs: unpacked, not installed. */
export interface Kernel {
  /** `6.1` */
  version: string
  vmlinuz: string
  /** Paths of the modules, each after those that it needs. */
  modules: string[]
}

/** The Debian suite of each kernel. */
export const suites: Readonly<Record<string, string>> = { '6.1': 'bookworm', '6.12': 'bookworm-backports' }

/**
 * The modules, in the order in which they are loaded. If a kernel has one built in, or does not have it, there is no
 * such file.
 */
const modules = [
  'drivers/virtio/virtio_ring',
  'drivers/virtio/virtio',
  'drivers/virtio/virtio_pci_modern_dev',
  'drivers/virtio/virtio_pci_legacy_dev',
  'drivers/virtio/virtio_pci',
  'net/core/failover',
  'drivers/net/net_failover',
  'drivers/net/virtio_net',
  'fs/netfs/netfs',
  'fs/fscache/fscache',
  'net/9p/9pnet',
  'net/9p/9pnet_fd',
  'fs/9p/9p',
]

/**
 * A kernel, from the cache or else from the Debian mirror that this machine uses. The download has its own apt
 * configuration, and does not touch the machine's.
 * @throws Error that says why the kernel is not available
 */
export function kernel(version: string): Kernel {
  const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'llambo', 'v9fs')
  const home = join(cache, version)
  if (!existsSync(home)) {
    mkdirSync(cache, { recursive: true })
    const work = mkdtempSync(join(cache, 'new-'))
    try {
      download(version, work)
      mkdirSync(join(work, 'kernel'))
      unpack(work, join(work, 'kernel'))
      // all of it or nothing
      renameSync(join(work, 'kernel'), home)
    } finally {
      rmSync(work, { recursive: true, force: true })
    }
  }
  const boot = join(home, 'boot')
  const [vmlinuz] = readdirSync(boot).filter(name => name.startsWith('vmlinuz-'))
  const tree = join(home, 'lib/modules', vmlinuz!.replace('vmlinuz-', ''), 'kernel')
  return {
    version,
    vmlinuz: join(boot, vmlinuz!),
    modules: modules.flatMap(name => ['.ko', '.ko.xz'].map(end => join(tree, name + end))).filter(existsSync),
  }
}

function run(command: string, args: string[], cwd: string): string {
  const { status, stdout, stderr, error } = spawnSync(command, args, { cwd, encoding: 'utf8', maxBuffer: 1 << 26 })
  if (status === 0) return stdout
  process.stderr.write(stderr ?? '')
  // its output names the mirror, which must not be shown to others
  throw new Error(error ? `${command}: ${error.message}` : `${command} ${args.at(-1)} failed`)
}

/** Downloads the package of the kernel image into `dir`. */
function download(version: string, dir: string): void {
  const suite = suites[version]!
  const targets = run('apt-get', ['indextargets', '--format', '$(ORIGIN) $(LABEL) $(REPO_URI)'], dir)
  const mirror = /^Debian Debian (\S+)$/m.exec(targets)?.[1]
  if (!mirror) throw new Error('this machine has no Debian mirror in its sources')
  writeFileSync(join(dir, 'sources.list'), `deb ${mirror} ${suite} main\n`)
  for (const name of ['lists/partial', 'archives/partial']) mkdirSync(join(dir, name), { recursive: true })
  const own = [
    ['Dir::Etc::SourceList', join(dir, 'sources.list')],
    ['Dir::Etc::SourceParts', '-'],
    ['Dir::State::Lists', join(dir, 'lists')],
    ['Dir::Cache', dir],
    ['APT::Sandbox::User', 'root'],
    ['APT::Update::Error-Mode', 'any'],
  ].flatMap(([name, value]) => ['-o', `${name}=${value}`])
  run('apt-get', [...own, 'update'], dir)
  const image = /Depends: (linux-image-(\d+\.\d+)\S*)/.exec(
    run('apt-cache', [...own, 'depends', 'linux-image-amd64'], dir),
  )
  if (image?.[2] !== version) throw new Error(`${suite} has no linux-image-amd64 of ${version}`)
  run('apt-get', [...own, 'download', image[1]!], dir)
}

/** Unpacks the part of the package that a guest needs, a tenth of it. */
function unpack(from: string, to: string): void {
  const deb = readdirSync(from).find(name => name.endsWith('.deb'))!
  const wanted = ['./boot/vmlinuz-*', ...modules.map(name => `./lib/modules/*/kernel/${name}.ko*`)]
  const tar = join(from, `${basename(deb)}.tar`)
  run('sh', ['-c', 'dpkg-deb --fsys-tarfile "$0" > "$1"', deb, tar], from)
  // some kernels lack some of the modules, and tar complains about that at its end
  spawnSync('tar', ['-xf', tar, '-C', to, '--wildcards', ...wanted])
}
