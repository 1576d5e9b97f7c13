/** Tests that long answers are moved to files. */
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { ORDWR, OREAD } from '../../fs/wire/protocol.js'
import type { Tree } from '../cluster/worker/fixture.js'
import { Cluster } from '../faults/cluster.js'
import { until } from '../faults/stage.js'

const MiB = 1024 * 1024
/** Answers of 12 MB, each with a stream of the same size: together more than the server may keep in memory. */
const ANSWERS = 5
const MOST = 300 * MiB

t.setTimeout(200_000)

/** Length and digest of the bytes of a file, or of the texts in a stream. */
class Sum {
  length = 0
  readonly #hash = createHash('sha256')

  add(bytes: Uint8Array | string): void {
    this.length += bytes.length
    this.#hash.update(bytes)
  }

  get end(): string {
    return `${this.length} ${this.#hash.digest('hex')}`
  }
}

/** Reads a file from offset 0 to its end. */
async function pieces(
  fid: { read(at: number, count: number): Promise<Uint8Array> },
  take: (piece: Uint8Array) => void,
) {
  for (let at = 0; ; ) {
    const piece = await fid.read(at, 1e6)
    if (piece.length === 0) return
    at += piece.length
    take(piece)
  }
}

/** Submits a prompt, and reads its events as they come. */
async function ask(tree: Tree, word: string) {
  const fid = await tree.open('generate', ORDWR)
  await fid.write(0, Buffer.from(JSON.stringify({ prompt: `${word.repeat(50_000)} z x500`, max_tokens: 500 })))
  const stream = new Sum()
  const answer = new Sum()
  let task = ''
  let rest = ''
  await pieces(fid, piece => {
    stream.add(piece)
    const lines = (rest + Buffer.from(piece).toString('latin1')).split('\n')
    rest = lines.pop()!
    for (const line of lines) {
      const event = JSON.parse(line) as { event: string; task?: string; text?: string }
      task ||= event.task ?? ''
      if (event.event === 'token') answer.add(event.text!)
    }
  })
  await fid.clunk()
  answer.add('\n')
  return { task, stream: stream.end, answer: answer.end }
}

async function sum(tree: Tree, path: string): Promise<string> {
  const fid = await tree.open(path, OREAD)
  const sum = new Sum()
  await pieces(fid, piece => sum.add(piece))
  await fid.clunk()
  return sum.end
}

t.test(
  'more answers than fit in memory are kept complete, in private files that are removed with their task and their server',
  async t => {
    const cluster = await Cluster.start(t, { workers: 1, env: { LLAMBO_MEMORY: '256M' } })
    const { pid } = cluster.run.child
    const dir = join(cluster.home.dir, '.local/state/llambo/spill')
    const files = () => readdirSync(dir, { recursive: true, withFileTypes: true }).filter(entry => entry.isFile())
    const metric = async (name: string) =>
      Number(new RegExp(`^llambo_${name} (\\d+)$`, 'm').exec(await cluster.root.read('metrics'))?.[1])
    const user = await cluster.tree({ name: 'ann', uid: 5001 })

    const asked = []
    for (let n = 0; n < ANSWERS; n++) asked.push(await ask(user, 'abcdefgh'[n]!))
    await until('all is on the disk', 30_000, async () => (await metric('memory_used_bytes')) < 5 * MiB)
    t.ok((await metric('spill_used_bytes')) > 1.2 * (await metric('memory_limit_bytes')), 'more than memory may keep')
    t.equal(await metric('spill_failing'), 0)
    for (const { task, stream, answer } of asked) {
      t.equal(await sum(user, `task/${task}/answer`), answer, `answer of task ${task}`)
      t.equal(await sum(user, `task/${task}/stream`), stream, `stream of task ${task}`)
    }
    const peak = Number(/^VmHWM:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024
    t.ok(peak < MOST, `at most ${Math.round(peak / MiB)} MiB were resident`)

    t.equal(files().length, 2 * ANSWERS)
    for (const entry of [dir, ...readdirSync(dir).map(name => join(dir, name))])
      t.equal(statSync(entry).mode & 0o777, 0o700, 'only the owner may use the directory')
    for (const { parentPath, name } of files())
      t.equal(statSync(join(parentPath, name)).mode & 0o777, 0o600, 'only the owner may use the file')

    await (await user.root.walk(['task', asked[0]!.task])).remove()
    await until('the files of a removed task are gone', 10_000, () => files().length === 2 * ANSWERS - 2)

    cluster.run.child.kill('SIGKILL')
    await cluster.run.ended
    t.equal(files().length, 2 * ANSWERS - 2, 'left by a killed server')
    await cluster.up()
    t.equal(files().length, 0, 'removed by the next start')
    await ask(await cluster.tree({ name: 'ann', uid: 5001 }), 'z')
    await until('there are files again', 10_000, () => files().length > 0)
    await cluster.stop()
    t.same(readdirSync(dir), [], 'removed when the server ends')
  },
)
