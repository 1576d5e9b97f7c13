/** Boots Linux guests whose kernels mount llambo. */

import { spawn, spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Kernel } from './kernel.js'

// these files are not TypeScript: they are read from the source folder
const folder = join(import.meta.dirname, '../../../../test/interop/v9fs')

/** Programs of GNU and Debian that take precedence over busybox's. */
const programs = 'bash cat chmod chown cp dash dd head ls mkdir mv rm rmdir setpriv tail'.split(' ')

/**
 * How long the guest may be silent before it counts as wedged. Its own limit for an operation is 600 s by its clock,
 * which runs ten times slower than ours on a busy machine.
 */
const SILENCE_MS = 1_800_000

/**
 * Boots a guest that runs `operations` (shell, see lib.sh) in each dialect, with the host's loopback at 10.0.2.2.
 * @param env variables that the operations see
 * @yields what the guest says: `up`, then `begin DIALECT NUMBER` and `end STATUS BASE64` in turns, then `done`
 * @throws Error with the console's last lines, if the guest ends before `done` or wedges
 */
export async function* guest(
  kernel: Kernel,
  operations: readonly string[],
  env: Readonly<Record<string, string | number>>,
): AsyncGenerator<string[], void> {
  const dir = mkdtempSync(join(tmpdir(), 'llambo-guest-'))
  const console = join(dir, 'console')
  const qemu = spawn(
    'qemu-system-x86_64',
    [
      // KVM is not everywhere, and what is tried here does not depend on speed. The TSC is measured at boot, wrongly on
      // a busy machine: with it, the guest's minutes were seconds.
      ...[
        '-accel',
        'tcg',
        '-cpu',
        'max',
        '-m',
        '256',
        '-nodefaults',
        '-no-user-config',
        '-display',
        'none',
        '-no-reboot',
      ],
      ...['-kernel', kernel.vmlinuz, '-initrd', image(dir, kernel, operations, env)],
      ...['-append', 'console=ttyS0 quiet panic=-1 mitigations=off random.trust_cpu=on tsc=unstable no_timer_check'],
      ...['-netdev', 'user,id=n0', '-device', 'virtio-net-pci,netdev=n0,romfile='],
      ...['-chardev', `file,id=c0,path=${console}`, '-serial', 'chardev:c0'],
      ...['-chardev', 'stdio,id=c1,signal=off', '-serial', 'chardev:c1'],
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  const ended = new Promise(resolve => qemu.once('close', resolve))
  const watch = setTimeout(() => qemu.kill('SIGKILL'), SILENCE_MS)
  try {
    for await (const line of createInterface({ input: qemu.stdout })) {
      watch.refresh()
      const [at, ...words] = line.trim().split(' ')
      if (at !== '@') continue
      yield words
      if (words[0] === 'done') return
    }
    throw new Error(`the guest ended early: ${readFileSync(console, 'utf8').trim().split('\n').slice(-30).join('\n')}`)
  } finally {
    clearTimeout(watch)
    qemu.kill('SIGKILL')
    await ended
    rmSync(dir, { recursive: true, force: true })
  }
}

/** Packs the guest's root file system. */
function image(
  dir: string,
  kernel: Kernel,
  operations: readonly string[],
  env: Readonly<Record<string, string | number>>,
): string {
  const root = join(dir, 'root')
  for (const name of ['bin', 'gnu', 'proc', 'sys', 'dev', 'mod', 'n', 'tmp', 'root', 'job/operation'])
    mkdirSync(join(root, name), { recursive: true })
  for (const [name, to] of [['busybox', 'bin'], ...programs.map(name => [name, 'gnu'])] as const) {
    const path = `/usr/bin/${name}`
    copyFileSync(path, join(root, to, name))
    const libraries = spawnSync('ldd', [path], { encoding: 'utf8' }).stdout.matchAll(/(\/\S+) \(0x/g)
    for (const [, library] of libraries) {
      mkdirSync(join(root, library!, '..'), { recursive: true })
      copyFileSync(library!, join(root, library!))
    }
  }
  const loaded = kernel.modules.map(path => {
    const name = basename(path).replace(/\.xz$/, '')
    const content = path.endsWith('.xz')
      ? spawnSync('xz', ['-dc', path], { maxBuffer: 1 << 24 }).stdout
      : readFileSync(path)
    writeFileSync(join(root, 'mod', name), content)
    return `${name}\n`
  })
  writeFileSync(join(root, 'mod/order'), loaded.join(''))
  copyFileSync(join(folder, 'init.sh'), join(root, 'init'))
  copyFileSync(join(folder, 'lib.sh'), join(root, 'job/lib.sh'))
  writeFileSync(
    join(root, 'job/env'),
    Object.entries(env)
      .map(([name, value]) => `${name}=${value}\n`)
      .join(''),
  )
  operations.forEach((script, i) => {
    writeFileSync(join(root, 'job/operation', String(i).padStart(2, '0')), script)
  })
  const out = join(dir, 'initrd')
  const packed = spawnSync('sh', ['-c', 'chmod +x init && find . | cpio -o -H newc --quiet > "$0"', out], {
    cwd: root,
    encoding: 'utf8',
  })
  if (packed.status !== 0) throw new Error(`cpio: ${packed.stderr}`)
  return out
}
