/** The scenario `restart`: the server is killed and started again. */

import { spawn } from 'node:child_process'
import { fuseProblem, isMounted } from '../../mnt/mount.js'
import { ndjson, type Tree } from '../cluster/worker/fixture.js'
import { ended } from '../mnt/fixture.js'
import { byData, byMount, bySession, echoPrompt, type Prompt } from './clients.js'
import { Cluster } from './cluster.js'
import { must, type Scenario, type Stage, seconds, until, within } from './stage.js'

/** Submits a prompt by closing the file, as echo(1) does. @returns the task's number */
async function submit(cluster: Cluster, prompt: Prompt): Promise<string> {
  const before = new Set(await cluster.root.names('task'))
  await cluster.root.write('data', prompt.text)
  return until('a task', 5000, async () => (await cluster.root.names('task')).find(id => !before.has(id)))
}

/** Reads a task's answer from `from` on, up to `to` or its end. */
async function readOn(tree: Tree, id: string, from: number, to = Number.POSITIVE_INFINITY): Promise<string> {
  const fid = await tree.open(`task/${id}/answer`, 0)
  let text = ''
  for (
    let piece: Uint8Array;
    from + text.length < to && (piece = await fid.read(from + text.length, 65536)).length > 0;
  )
    text += Buffer.from(piece)
  return text
}

/** The orchestrator is killed in the middle of everything and started again. */
async function restarted(stage: Stage): Promise<string> {
  const problem = await fuseProblem()
  const cluster = await Cluster.start(stage, { mount: problem === undefined, env: { LLAMBO_ENGINE_RATE: '20' } })
  const pids = (await cluster.workers()).map(({ pid }) => pid).sort()

  const session = await bySession(cluster.root)
  await session(echoPrompt('turn', 5))
  const [number] = await cluster.root.names('session').then(names => names.filter(name => /^\d+$/.test(name)))
  // a task that is read by its number, a turn of a session, and a plain read on the mount
  const prompt = echoPrompt('held', 300)
  const id = await submit(cluster, prompt)
  await cluster.root.write(`session/${number}/data`, echoPrompt('second', 250).text)
  const cat =
    problem === undefined &&
    ended(
      spawn(
        'timeout',
        ['-s', 'KILL', '60', 'sh', '-c', 'exec 3<>"$0/data" && echo "lost red x400" >&3 && cat <&3', cluster.mount],
        {
          stdio: ['ignore', 'pipe', 'pipe'],
          cwd: '/',
        },
      ),
    )
  const first = await readOn(cluster.root, id, 0, 300)
  if (cat)
    await until('the reader on the mount has some', 10_000, async () => {
      const task = (await cluster.newest())!
      return Number(task.id) > Number(id) + 1 && Number(task.completion_tokens) > 5
    })

  cluster.run.child.kill('SIGKILL')
  const killed = Date.now()
  await cluster.run.ended
  const gone = cat && (await within('the plain read on the mount', 20_000, cat))
  const eio = Date.now() - killed
  if (gone) must(gone.code === 1 && /Input\/output error/.test(gone.err), `cat: exit ${gone.code} ${gone.err}`)

  const began = Date.now()
  const up = cluster.up()
  // like a program that knows the number: it dials until a server answers
  const tree = await until('somebody who answers', 30_000, () => cluster.tree().catch(() => undefined))
  const answers = Date.now()
  const next = await until('the task', 30_000, () =>
    readOn(tree, id, first.length, first.length + 1).catch(() => undefined),
  )
  const on = Date.now()
  await up
  const rest = await within('its end', 40_000, readOn(tree, id, first.length + next.length))
  must(
    first + next + rest === `${prompt.answer}\n`,
    `the answer differs: ${first.slice(-30)} | ${(next + rest).slice(0, 60)}`,
  )
  must(on - answers < 3000, `read on ${seconds(on - answers)} after it answers again`)

  const now = (await cluster.workers()).map(({ pid }) => pid).sort()
  must(JSON.stringify(now) === JSON.stringify(pids), `the workers are ${now}, and were ${pids}`)
  const history = await until('the turn', 40_000, async () => {
    const lines = ndjson(await cluster.root.read(`session/${number}/history`))
    return lines.length >= 4 && lines
  })
  must(history.at(-1)?.content === echoPrompt('second', 250).answer, `history: ${JSON.stringify(history)}`)
  await byData(cluster.root, `session/${number}/data`)(echoPrompt('third', 5))
  must(Number(await submit(cluster, echoPrompt('new', 3))) > Number(id), 'a task’s number is given twice')
  if (problem === undefined) {
    must(await isMounted(cluster.mount), 'it is not mounted again')
    await byMount(cluster.mount)(echoPrompt('mounted', 5))
  }
  return `${gone ? `the mount's reader has EIO after ${seconds(eio)}` : `no mount: ${problem}`}; started again it answers after ${seconds(answers - began)}, and a task is read on ${seconds(on - answers)} later; no worker is started twice, the session goes on`
}

export const restart: Scenario = { name: 'restart', run: restarted }
