import t from 'tap'
import { byGenerate, echoPrompt } from '../faults/clients.js'
import { Cluster } from '../faults/cluster.js'

t.test(
  'an answer whose workers are killed one after another is whole: being killed says nothing of what they did',
  async t => {
    const cluster = await Cluster.start(t, { workers: 2, env: { LLAMBO_ENGINE_RATE: '20' }, ctl: ['retry resumes 5'] })
    const asked = byGenerate(await cluster.tree())(echoPrompt('one', 60))
    asked.catch(() => undefined)
    for (const resumed of [0, 1, 2]) process.kill((await cluster.answering(resumed)).pid, 'SIGKILL')
    await asked
    t.match(await cluster.newest(), { state: 'done', resumed: '3', completion_tokens: '60' })
  },
)
