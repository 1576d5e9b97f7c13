/** Makes a tree of many files of every kind. */

import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  closeSync,
  linkSync,
  lutimesSync,
  mkdirSync,
  openSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'

/** Sizes around what messages of 64 KiB and of 4 KiB carry, and around pages. */
const SIZES = [
  0, 1, 2, 3, 4071, 4072, 4073, 4095, 4096, 4097, 65511, 65512, 65513, 65535, 65536, 65537, 131024, 1_000_000,
]
const NAMES = [
  'with blank',
  ' leading blank',
  'trailing blank ',
  '-dash',
  '--help',
  'new\nline',
  'tab\there',
  'quote\'s "both"',
  'back\\slash',
  '*',
  '...',
  'ünïcödé ☃ 雪 🦙',
  'e\u0301 decomposed',
  'x'.repeat(255),
  '雪'.repeat(85),
  '$HOME;`true`&|<>',
]

/** Bytes that differ from file to file, and within each file. */
function content(size: number, seed: number): Buffer {
  const out = Buffer.alloc(size)
  for (let i = 0, x = seed + 1; i < size; i++) {
    x = (x * 1103515245 + 12345) & 0x7fffffff
    out[i] = x >>> 16
  }
  return out
}

/**
 * Makes a tree of over two thousand files, with everything that a file system has names for. It is the same every time.
 */
export function makeTree(tree: string): void {
  const at = (...names: string[]) => join(tree, ...names)
  const write = (path: string, data: Buffer | string) => writeFileSync(path, data)
  for (const name of ['sizes', 'names', 'many', 'kinds', 'wide', 'empty']) mkdirSync(at(name))
  for (const size of SIZES) write(at('sizes', `${size}`), content(size, size))
  write(at('large'), content(10_000_000, 7))
  for (const [i, name] of NAMES.entries()) write(at('names', name), `${i}\n`)
  for (let i = 0; i < 1000; i++) write(at('many', `file-${i}`), content(i, i))
  for (let d = 0; d < 30; d++) {
    mkdirSync(at('wide', `d${d}`))
    for (let i = 0; i < 30; i++) write(at('wide', `d${d}`, `f${i}.txt`), `${d} ${i}\n`.repeat(i))
  }
  // deeper than the sixteen names of one walk
  let deep = tree
  for (let i = 0; i < 40; i++) {
    deep = join(deep, `deep${i}`)
    mkdirSync(deep)
    write(join(deep, 'here'), `${i}\n`)
  }
  const kinds = (name: string) => at('kinds', name)
  for (let mode = 0; mode < 0o10000; mode = mode * 2 || 1) {
    write(kinds(`mode-${mode}`), '')
    chmodSync(kinds(`mode-${mode}`), mode)
  }
  mkdirSync(kinds('directory'))
  write(kinds('file'), 'file\n')
  chownSync(kinds('file'), 1234, 5678)
  linkSync(kinds('file'), kinds('second-name'))
  linkSync(kinds('file'), at('third-name'))
  symlinkSync('file', kinds('link'))
  symlinkSync('nowhere', kinds('dangling'))
  symlinkSync('../sizes', kinds('to-directory'))
  symlinkSync('/etc/passwd', kinds('absolute'))
  symlinkSync('x'.repeat(1000), kinds('long'))
  if (spawnSync('mkfifo', [kinds('fifo')]).status !== 0) throw new Error('mkfifo failed')
  utimesSync(kinds('file'), 1, 981173106.25)
  lutimesSync(kinds('link'), 1, 946684800)
  utimesSync(kinds('directory'), 1, 4102444800)
  write(at('secret'), 'for root alone\n')
  chmodSync(at('secret'), 0o600)
  const sparse = openSync(at('sparse'), 'w')
  closeSync(sparse)
  spawnSync('truncate', ['-s', '3M', at('sparse')])
}
