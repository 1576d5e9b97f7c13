/** Tests of the files in the runtime directory. */
import t from 'tap'
import { joinFile, serverFile, workersFile } from '../../api/runtime.js'

const server = {
  pid: 7,
  born: '123',
  addresses: ['unix!/run/9p'],
  mounts: ['/n/llambo'],
  mounters: [{ pid: 9 }],
  started: '2026-01-01',
}
const worker = {
  pid: 8,
  id: 'ab',
  boot: 'cd',
  class: { name: 'default', slots: 4, memory: 0, cores: 0, prefer: 3 },
  secret: '0f'.repeat(32),
}

t.test('a file of the runtime directory is accepted as a whole or not at all', async t => {
  t.same(serverFile(server, 'f'), server)
  t.same(joinFile({ pid: 7, address: 'wss://a:1/join' }, 'f'), {
    pid: 7,
    address: 'wss://a:1/join',
    started: '',
    upstream: '',
  })
  const file = { config: { slots: 4 }, asked: 1, workers: [worker] }
  t.same(workersFile(file, 'f'), file)
  for (const bad of [
    { pid: 0 },
    { pid: -1 },
    { pid: 2 ** 31 },
    { pid: '7 ' },
    { mounts: 'x' },
    { mounts: ['a\u001b'] },
    { born: '../x' },
  ])
    t.throws(() => serverFile({ ...server, ...bad }, 'f'), { name: 'Unfit' }, JSON.stringify(bad))
  for (const bad of [{ pid: 1.5 }, { id: 'a/b' }, { boot: '' }, { class: {} }, { class: null }, { secret: 'x' }])
    t.throws(
      () => workersFile({ ...file, workers: [{ ...worker, ...bad }] }, 'f'),
      { name: 'Unfit' },
      JSON.stringify(bad),
    )
})
