/** Tests a server whose engine is a remote one with the OpenAI API. */
import t from 'tap'
import { says, upstream } from '../cluster/engine/upstream.js'
import { until } from '../cluster/orchestrator/fixture.js'
import { Home } from './fixture.js'

const remote = (url: string) => ({ LLAMBO_ENGINE: 'openai', LLAMBO_ENGINE_URL: url, LLAMBO_ENGINE_MODEL: 'm' })

t.test('up reports an upstream that is down or lacks the model, and doctor one that is down', async t => {
  const server = await upstream(t, says('hi'))
  const home = new Home(t, remote(server.url))
  server.models = ['x', 'y']
  t.match(await home.ctl('up', '-d'), {
    code: 1,
    stderr: /the upstream refuses this: http:\S+: no model m; models: x, y/,
  })
  await server.stop()
  t.match(await home.ctl('up', '-d'), {
    code: 1,
    stderr: /the upstream failed: http:\S+\/models: connection refused: is the server running there\?/,
  })
  t.match(
    (await home.ctl('doctor')).stdout,
    /^bad +upstream +class default: the upstream failed: .*connection refused/m,
  )
  t.equal(server.prompts.length, 0)
})

t.test('the preferred of two upstreams answers, then the other, and each gets only its own key', async t => {
  const [first, second, third] = await Promise.all(['first', 'second', 'third'].map(text => upstream(t, says(text))))
  third!.models = ['n']
  const home = new Home(t, { ...remote(second!.url), OPENAI_API_KEY: 'the-plain-key' })
  const key = home.file('first.key', 'the-own-key\n')
  const classes = {
    cloud: { url: first!.url, key_file: key, model: 'm', prefer: 2, workers: 1 },
    open: { url: third!.url, model: 'n', workers: 1 },
  }
  home.file('.config/llambo/config.yaml', JSON.stringify({ classes }))
  await home.up()
  const ask = async () => (await home.ctl('rdwr', 'data', 'hi')).stdout
  const status = async () => (await home.ctl('status')).stdout
  await until(async () => (await status()).match(/state=idle class=(cloud|open)/g)?.length === 2)
  t.equal(await ask(), 'first\n')
  t.equal(first!.prompts[0]!.headers.authorization, 'Bearer the-own-key')
  await first!.stop()
  t.equal(await ask(), 'second\n')
  t.equal(second!.prompts[0]!.headers.authorization, 'Bearer the-plain-key')
  t.ok(first!.checks.every(({ headers }) => headers.authorization === 'Bearer the-own-key'))
  t.match((await home.ctl('doctor')).stdout, /^note +upstream +class cloud: .*connection refused/m)
  t.match(third!.checks[0]?.headers, { authorization: undefined }, 'an upstream of a class without a key gets no key')
})
