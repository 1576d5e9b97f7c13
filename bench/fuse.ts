import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync } from 'node:fs'
import { type FileHandle, open, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { startMount, unmount } from '../mnt/mount.js'
import { type Comparison, compare, type Result, rate, type Skipped, time } from './measure.js'
import { built, scratch, startOurs } from './programs.js'
import { LARGE, SMALL } from './tree.js'

const BLOCK = 128 * 1024

async function content(dir: string): Promise<number> {
  const file: FileHandle = await open(join(dir, 'small'))
  const { bytesRead } = await file.read(new Uint8Array(SMALL), 0, SMALL, 0)
  await file.close()
  return bytesRead
}

async function whole(dir: string): Promise<number> {
  const file = await open(join(dir, 'large'))
  const block = new Uint8Array(BLOCK)
  const ms = await time(async () => {
    let at = 0
    for (let n = 1; n > 0; at += n) n = (await file.read(block, 0, BLOCK, at)).bytesRead
    if (at !== LARGE) throw new Error(`${at} bytes of ${LARGE}`)
  })
  await file.close()
  return LARGE / 1000 / ms
}

/** fuse-native with a tree of its own in memory, in a process of its own. */
async function startNative(dir: string): Promise<{ stop(): Promise<unknown> }> {
  const child = fork(built('bench/native.js'), [dir], { stdio: ['ignore', 'ignore', 'pipe', 'ipc'] })
  let said = ''
  child.stderr!.on('data', text => (said += text))
  const exited = once(child, 'exit')
  const [ready] = await Promise.race([once(child, 'message'), exited])
  if (ready !== 'ready')
    throw new Error(
      `fuse-native: ${
        said
          .trim()
          .split('\n')
          .find(line => line.includes('Error')) ?? said
      }`,
    )
  return {
    stop() {
      child.send('stop')
      return exited
    },
  }
}

/** Our driver with its server behind it, two processes, beside fuse-native with the tree in the same one; this process uses them. */
export async function* overFuse(wanted: (what: string) => boolean): AsyncGenerator<Result | Skipped> {
  const rows: [string, string, Comparison['aim'], (dir: string) => Promise<number>][] = [
    ['FUSE: stat', '/s', { least: 1 }, dir => rate(1, () => stat(join(dir, 'small')))],
    ['FUSE: open+read+close', '/s', { least: 1 }, dir => rate(1, () => content(dir))],
    ['FUSE: large read', 'MB/s', { least: 1 }, whole],
  ]
  const chosen = rows.filter(([what]) => wanted(what))
  if (chosen.length === 0) return
  const [ours, theirs] = ['ours', 'native'].map(name => join(scratch, name)) as [string, string]
  for (const dir of [ours, theirs]) mkdirSync(dir)
  const server = await startOurs('large')
  const undo: (() => Promise<unknown>)[] = [() => server.stop()]
  try {
    await startMount({ address: server.address, dir: ours })
    undo.push(() => unmount(ours))
    const native = await startNative(theirs)
    undo.push(() => native.stop())
    for (const [what, unit, aim, side] of chosen) {
      await side(ours)
      await side(theirs)
      yield await compare({ what, unit, aim, ours: () => side(ours), theirs: () => side(theirs) })
    }
  } catch (error) {
    for (const [what] of chosen) yield { what, skipped: (error as Error).message }
  } finally {
    for (const step of undo.reverse()) await step()
  }
}
