/** Measures how much later the first token comes through an orchestrator. */

import { join } from 'node:path'
import { compare, type Result } from '../measure.js'
import { Child } from './child.js'
import type { Came, ClientsAsk } from './clients.js'
import type { FarmAsk } from './farm.js'
import { startOrchestrator } from './orchestrator.js'

const REQUESTS = 200

/** Compares the first token through an orchestrator with the same worker's own socket. */
export async function* hop(wanted: (what: string) => boolean): AsyncGenerator<Result> {
  const what = 'first token through the orchestrator, more than from the worker, median'
  if (!wanted(what)) return
  const orchestrator = await startOrchestrator()
  const farm = new Child<FarmAsk>('farm')
  const clients = new Child<ClientsAsk>('clients')
  const own = `unix!${join(orchestrator.dir, 'worker')}`
  await farm.ask({
    do: 'join',
    address: orchestrator.join,
    dir: orchestrator.dir,
    groups: [{ class: 'default', count: 1, slots: 4, rate: 0, kind: 'worker' }],
    serve: own,
  })
  await orchestrator.slots(4)
  const side = (address: string) => async () =>
    (await clients.ask<Came>({ do: 'first', address, requests: REQUESTS })).first.p50
  const row = { what, unit: 'ms', aim: { most: 1.5 }, difference: true }
  const [ours, theirs] = [side(orchestrator.address), side(own)]
  for (let i = 0; i < 5; i++) {
    await ours()
    await theirs()
  }
  yield await compare({ ...row, ours, theirs })
  await clients.stop()
  await farm.stop()
  await orchestrator.stop()
}
