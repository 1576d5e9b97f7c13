/** The scenario `deaths`: requests that crash workers. */

import { byGenerate, echoPrompt } from './clients.js'
import { Cluster } from './cluster.js'
import { failure, must, type Scenario, type Stage, within } from './stage.js'

/** A request that crashed two workers is refused. A request whose workers were killed is not. */
async function dies(stage: Stage): Promise<string> {
  const cluster = await Cluster.start(stage, { env: { LLAMBO_ENGINE_RATE: '20' }, ctl: ['retry resumes 5'] })
  const events = await cluster.events()
  const poison = echoPrompt('poison', 200)
  const innocent = echoPrompt('innocent', 200)
  const ask = async (prompt: typeof poison) => {
    const asked = byGenerate(await cluster.tree())(prompt)
    asked.catch(() => undefined)
    return asked
  }

  const spared = ask(innocent)
  for (const resumed of [0, 1]) process.kill((await cluster.answering(resumed)).pid, 'SIGKILL')
  await within('the innocent', 40_000, spared)
  await cluster.ready(3)

  const asked = ask(poison)
  const said = failure('poison', asked)
  process.kill((await cluster.answering(0)).pid, 'SIGSEGV')
  const second = await cluster.answering(1)
  process.kill(second.pid, 'SIGABRT')
  const { message } = await within('the failure', 20_000, said)
  must(message === 'request ended 2 workers', message)
  const deaths = events.all('poison').length
  must(deaths === 1, `there are ${deaths} poison events`)
  const again = await failure('the same again', ask(poison))
  must(again.message === 'request ended 2 workers', again.message)
  const begun = (await cluster.newest())!
  must(begun.tries === '0', 'the refused request was tried again')
  await within('others', 30_000, ask(echoPrompt('others', 20)))
  await cluster.ready(3)
  return 'killed twice: whole; SIGSEGV and SIGABRT: refused, also when asked again, on no third worker; others are answered'
}

export const deaths: Scenario = { name: 'deaths', run: dies }
