import t from 'tap'
import { ids, rig, say, text, until } from './fixture.js'

t.test('a model that nobody has loaded is loaded where that disturbs least, and who asked waits', async t => {
  const cluster = await rig(t, [
    { models: ['red', 'blue'], load_ms: 500, rate: 20 },
    { models: ['red', 'blue'], load_ms: 500, rate: 20 },
  ])
  const ann = await cluster.as('ann')
  const busy = ann.events('generate', { ...say('a b x40') })
  let on: string | undefined
  await until(async () => {
    on = (await cluster.status()).find(({ word, attrs }) => word === 'worker' && attrs.active === '1')?.attrs.name
    return on !== undefined
  })
  const asked = ann.events('generate', { ...say('hello'), model: 'blue' })
  await until(async () =>
    (await cluster.status()).some(({ word, attrs }) => word === 'worker' && attrs.loading === 'blue'),
  )
  const events = await asked
  t.match(
    events.find(({ event }) => event === 'start'),
    { model: 'blue' },
  )
  t.not(events.find(({ event }) => event === 'start')!.worker, on, 'never on one that is generating')
  t.equal(ids(await busy).length, 40)
  const models = (await cluster.status()).filter(({ word }) => word === 'model')
  t.same(
    models.map(({ attrs }) => `${attrs.name} ${attrs.workers}`),
    ['red 1', 'blue 1'],
  )
})

t.test('a model that is named is loaded also where none is: only who names none is told to load one', async t => {
  const cluster = await rig(t, [])
  await cluster.add({ models: ['red'], load: false })
  await until(async () => (await cluster.status()).some(({ word }) => word === 'worker'))
  const ann = await cluster.as('ann')
  await t.rejects(ann.ask('data', 'hello'), { message: /^no model is loaded: write 'load MODEL' to ctl/ })
  t.equal(text(await ann.events('generate', { ...say('hello'), model: 'red' })), '0:hello')
  t.equal(await ann.ask('data', 'hello'), '0:hello\n')
})

t.test('load at the root is for all who have the file, or for the one that is named', async t => {
  const cluster = await rig(t, [{ models: ['red', 'blue'] }, { models: ['red', 'blue'] }, { models: ['red'] }])
  const root = await cluster.as('root')
  const loaded = async () =>
    (await cluster.status()).filter(({ word }) => word === 'worker').map(({ attrs }) => attrs.model)
  await root.write('ctl', 'load blue worker-0002')
  t.same(await loaded(), ['red', 'blue', 'red'])
  await root.write('ctl', 'load blue')
  t.same(await loaded(), ['blue', 'blue', 'red'])
  await t.rejects(root.write('ctl', 'load blue worker-0009'), {
    message: /^bad argument: worker worker-0009: there are worker-0001/,
  })
  await t.rejects(root.write('ctl', 'load green'), { message: /file does not exist: model green/ })
  await t.rejects(root.write('ctl', 'unload red worker-0001'), { message: 'no model is loaded: worker-0001 has blue' })
  t.same(await loaded(), ['blue', 'blue', 'red'], 'another than was named stays')
  await cluster.ready()
})

t.test('different files of one name are marked, and not loaded', async t => {
  const cluster = await rig(t, [
    { models: ['red'] },
    { models: ['red'], engine: (_, engine) => ({ ...engine, model: { ...engine.model, digest: 'sha256:other' } }) },
  ])
  const root = await cluster.as('root')
  t.match((await cluster.status()).find(({ word }) => word === 'model')!.attrs, { name: 'red', conflict: 'yes' })
  await t.rejects(root.write('ctl', 'load red'), { message: /different files of that name/ })
})
