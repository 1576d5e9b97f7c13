/** Compares our FUSE driver with fuse-native. */

import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync } from 'node:fs'
import { type FileHandle, open, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { startMount, unmount } from '../mnt/mount.js'
import { compare, type Result, rate, type Skipped, time } from './measure.js'
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

/** Starts a program that mounts its own tree in memory, in a process of its own. */
async function startChild(program: string, dir: string): Promise<{ stop(): Promise<unknown> }> {
  const child = fork(built(`bench/${program}.js`), [dir], { stdio: ['ignore', 'ignore', 'pipe', 'ipc'] })
  let said = ''
  child.stderr!.on('data', text => (said += text))
  const exited = once(child, 'exit')
  const [ready] = await Promise.race([once(child, 'message'), exited])
  if (ready !== 'ready') throw new Error(`${program}: ${/^.*Error.*$/m.exec(said)?.[0] ?? said}`)
  return {
    stop() {
      child.send('stop')
      return exited
    },
  }
}

/**
 * Compares with fuse-native, which has the tree in its own process: our driver with the tree in its process too
 * (`driver`), and our driver as it is normally mounted, with the server in another process (`mount`). This process is
 * the program that uses the mounts.
 */
export async function* overFuse(wanted: (what: string) => boolean): AsyncGenerator<Result | Skipped> {
  const uses: [string, string, (dir: string) => Promise<number>][] = [
    ['stat', '/s', dir => rate(1, () => stat(join(dir, 'small')))],
    ['open+read+close', '/s', dir => rate(1, () => content(dir))],
    ['large read', 'MB/s', whole],
  ]
  const rows = (['driver', 'mount'] as const).flatMap(way =>
    uses.map(([use, unit, side]) => ({ what: `FUSE ${way}: ${use}`, way, unit, side })),
  )
  const chosen = rows.filter(({ what }) => wanted(what))
  if (chosen.length === 0) return
  const dirs = { driver: join(scratch, 'driver'), mount: join(scratch, 'mount'), native: join(scratch, 'native') }
  for (const dir of Object.values(dirs)) mkdirSync(dir)
  const undo: (() => Promise<unknown>)[] = []
  try {
    const server = await startOurs('large')
    undo.push(() => server.stop())
    await startMount({ address: server.address, dir: dirs.mount })
    undo.push(() => unmount(dirs.mount))
    for (const [program, dir] of [
      ['mounted', dirs.driver],
      ['native', dirs.native],
    ] as const) {
      const child = await startChild(program, dir)
      undo.push(() => child.stop())
    }
    for (const { what, way, unit, side } of chosen) {
      const ours = () => side(dirs[way])
      const theirs = () => side(dirs.native)
      await ours()
      await theirs()
      yield await compare({ what, unit, aim: { least: 1 }, ours, theirs })
    }
  } catch (error) {
    for (const { what } of chosen) yield { what, skipped: (error as Error).message }
  } finally {
    for (const step of undo.reverse()) await step()
  }
}
