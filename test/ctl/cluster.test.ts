/** Tests real clusters in which processes are killed; `npm run test:faults` does this and much more, for longer. */
import t from 'tap'
import { byGenerate, echoPrompt } from '../faults/clients.js'
import { Cluster } from '../faults/cluster.js'
import { failure, until } from '../faults/stage.js'

const paced = { LLAMBO_ENGINE_RATE: '20' }

t.test(
  'an answer whose workers are killed again and again is completed, because a kill is not blamed on the prompt',
  async t => {
    const cluster = await Cluster.start(t, { workers: 2, env: paced, ctl: ['retry resumes 5'] })
    const asked = byGenerate(await cluster.tree())(echoPrompt('one', 60))
    asked.catch(() => undefined)
    for (const resumed of [0, 1, 2]) process.kill((await cluster.answering(resumed)).pid, 'SIGKILL')
    await asked
    t.match(await cluster.newest(), { state: 'done', resumed: '3', completion_tokens: '60' })
  },
)

t.test('a request that crashed two workers is not sent to a third', async t => {
  const cluster = await Cluster.start(t, { workers: 2, env: paced, ctl: ['retry resumes 5'] })
  const ask = async () => byGenerate(await cluster.tree())(echoPrompt('one', 200))
  const failed = failure('it', ask())
  process.kill((await cluster.answering(0)).pid, 'SIGSEGV')
  process.kill((await cluster.answering(1)).pid, 'SIGABRT')
  t.equal((await failed).message, 'request ended 2 workers')
  t.equal((await failure('again', ask())).message, 'request ended 2 workers')
  t.match(await cluster.newest(), { state: 'failed', tries: '0' })
})

t.test('an orchestrator takes over the workers of a killed one, and their answers', async t => {
  const cluster = await Cluster.start(t, { workers: 2, env: paced })
  const prompt = echoPrompt('one', 120)
  await cluster.root.write('data', prompt.text)
  const { pid } = await cluster.answering()
  const before = (await cluster.workers()).map(worker => worker.pid).sort()
  cluster.run.child.kill('SIGKILL')
  await cluster.run.ended
  await cluster.up()
  const [id] = await until('the task', 20_000, async () => {
    const names = await cluster.root.names('task')
    return names.length > 0 && names
  })
  t.equal(await cluster.root.read(`task/${id}/answer`), `${prompt.answer}\n`)
  const after = (await cluster.workers()).map(worker => worker.pid).sort()
  t.same(after, before)
  t.ok(after.includes(pid))
})
