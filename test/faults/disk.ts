/** The scenario `disk`: the state directory is full. */

import { appendFileSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ndjson } from '../cluster/worker/fixture.js'
import { sh } from '../mnt/fixture.js'
import { byData, byGenerate, bySession, echoPrompt } from './clients.js'
import { Cluster } from './cluster.js'
import { must, type Scenario, type Stage, until } from './stage.js'

/** The state directory has no space left: answers are still given, and what could not be saved is reported. */
async function full(stage: Stage): Promise<string> {
  const dir = mkdtempSync(join(tmpdir(), 'llambo-full-'))
  stage.teardown(() => rmSync(dir, { recursive: true, force: true }))
  const state = join(dir, 'state')
  mkdirSync(state, { mode: 0o700 })
  must((await sh(`mount -t tmpfs -o size=1m,mode=700 none ${state}`)).code === 0, 'cannot mount a file system of 1 MiB')
  stage.teardown(() => sh(`umount -l ${state}`))
  const filler = join(state, 'filler')
  const fill = () => {
    try {
      for (const size of [65536, 4096, 512]) for (;;) appendFileSync(filler, new Uint8Array(size))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
    }
  }
  const cluster = await Cluster.start(stage, { env: { XDG_STATE_HOME: state } })
  let events = await cluster.events()
  fill()
  // more than the task numbers that one write reserves
  const answers = 1200
  for (let n = 0; n < answers / 100; n++)
    await Promise.all(
      Array.from({ length: 100 }, async (_, i) =>
        (i % 2 ? byData : byGenerate)(cluster.root)(echoPrompt(`n${n}-${i}`, 4)),
      ),
    )
  const session = await bySession(cluster.root)
  for (const turn of ['one', 'two']) await session(echoPrompt(turn, 4))
  await session.check()
  const { error } = await events.next('not-saved')
  const told = events.all('not-saved').length
  must(told < 20, `the failure is reported ${told} times`)
  // killed and started again without space
  const newest = Number((await cluster.newest())!.id)
  cluster.run.child.kill('SIGKILL')
  await cluster.run.ended
  await cluster.up()
  await byData(cluster.root)(echoPrompt('again', 4))
  // space again
  rmSync(filler)
  const kept = await bySession(cluster.root)
  await kept(echoPrompt('kept', 4))
  events = await cluster.events()
  await until('it is kept', 10_000, () => sh(`ls ${state}/llambo/cluster`).then(({ out }) => /session-/.test(out)))
  cluster.run.child.kill('SIGKILL')
  await cluster.run.ended
  await cluster.up()
  const [number] = (await cluster.root.names('session')).filter(name => /^\d+$/.test(name))
  must(number !== undefined, 'the saved session is not there')
  must(ndjson(await cluster.root.read(`session/${number}/history`)).length === 2, 'the saved turn is not there')
  return `${answers} answers and a session without room ('${error}', said ${told} times), started again without room at task ${newest}; kept again when there was room`
}

export const disk: Scenario = {
  name: 'disk',
  lacks: () => (process.getuid?.() === 0 ? '' : 'a file system of 1 MiB is mounted as root'),
  run: full,
}
