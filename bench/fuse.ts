import { existsSync, mkdirSync } from 'node:fs'
import { type FileHandle, open, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { startMount, unmount } from '../mnt/mount.js'
import { type Comparison, compare, type Result, rate, type Skipped, time } from './measure.js'
import { scratch, startOurs } from './programs.js'
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

/** The two drivers of mnt/ over one server, each in a process of its own; this process is the program that uses them. */
export async function overFuse(wanted: (what: string) => boolean): Promise<(Result | Skipped)[]> {
  const rows: [string, string, Comparison['aim'], (dir: string) => Promise<number>][] = [
    ['FUSE: stat', '/s', { least: 1 }, dir => rate(1, () => stat(join(dir, 'small')))],
    ['FUSE: open+read+close', '/s', { least: 1 }, dir => rate(1, () => content(dir))],
    ['FUSE: large read', 'MB/s', { least: 1 }, whole],
  ]
  const chosen = rows.filter(([what]) => wanted(what))
  if (chosen.length === 0) return []
  const skip = (skipped: string) => chosen.map(([what]) => ({ what, skipped }))
  if (!existsSync('/dev/fuse')) return skip('no /dev/fuse')
  const server = await startOurs('large')
  const mounted: string[] = []
  try {
    for (const driver of ['llambo', 'fuse-native'] as const) {
      const dir = join(scratch, driver)
      mkdirSync(dir)
      await startMount({ address: server.address, dir, driver })
      mounted.push(dir)
    }
    const [ours, theirs] = mounted as [string, string]
    const out: Result[] = []
    for (const [what, unit, aim, side] of chosen) {
      await side(ours)
      await side(theirs)
      out.push(await compare({ what, unit, aim, ours: () => side(ours), theirs: () => side(theirs) }))
    }
    return out
  } catch (error) {
    return skip((error as Error).message)
  } finally {
    for (const dir of mounted) await unmount(dir)
    await server.stop()
  }
}
