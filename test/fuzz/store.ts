/** Stores the fuzzer's inputs. */

import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../../../test/fuzz/', import.meta.url))

export type Kind = 'corpus' | 'crashers'

/** The folder of a target's inputs. */
export const folder = (kind: Kind, target: string): string => join(root, kind, target)

/** The kept inputs of a target, shortest first. */
export function load(kind: Kind, target: string): { name: string; input: Uint8Array }[] {
  const dir = folder(kind, target)
  if (!existsSync(dir)) return []
  return readdirSync(dir)
    .sort()
    .map(name => ({ name, input: new Uint8Array(readFileSync(join(dir, name))) }))
    .sort((a, b) => a.input.length - b.input.length)
}

/** Keeps an input, under a name made from its content. @returns the file */
export function save(kind: Kind, target: string, input: Uint8Array): string {
  const dir = folder(kind, target)
  mkdirSync(dir, { recursive: true })
  const file = join(dir, createHash('sha256').update(input).digest('hex').slice(0, 16))
  writeFileSync(file, input)
  return file
}

/** Deletes a kept input. */
export function drop(kind: Kind, target: string, name: string): void {
  rmSync(join(folder(kind, target), name))
}
