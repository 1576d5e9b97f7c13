/** Tests the `status` of a cluster whose members claim what they like. */
import t from 'tap'
import { MAX_BYTES, MAX_SLOTS, parseReport } from '../../../api/report.js'
import { newSecret } from '../../../cluster/secret.js'
import { rig, until } from './fixture.js'
import { rogue } from './rogue.js'

t.test('members that claim the most they may leave the cluster a status that another cluster accepts', async t => {
  const cluster = await rig(t, [])
  const attrs = { slots: `${MAX_SLOTS}`, active: `${MAX_SLOTS}`, mem_total: `${MAX_BYTES}`, gpu_mem: `${MAX_BYTES}` }
  for (const id of ['one', 'two'])
    rogue(cluster, {
      id,
      secret: newSecret(),
      attrs: { ...attrs, boot: id, host: id },
      after: 'model name=m loaded=yes\n',
    })
  await until(async () => (await cluster.status()).filter(({ word }) => word === 'worker').length === 2)
  const text = await (await cluster.as('root')).read('status')
  t.match(parseReport(text), { kind: 'cluster', mem_total: MAX_BYTES, gpu_mem: MAX_BYTES })
})
