import t from 'tap'
import { FsError } from '../../fs/errors.js'
import { NOTAG, OREAD } from '../../fs/message.js'
import { connected, Peer } from './peer.js'
import { Client } from '../../fs/client.js'
import { transportPair } from '../../fs/transport/pair.js'

const qid = { type: 0, version: 0, path: 7n }

t.test('requests of one turn leave in one send and are answered in any order', async t => {
  const { client, peer } = await connected()
  peer.chunks = 0
  const calls = [1, 2, 3].map(fid => client.rpc({ type: 'Tstat', fid }).catch(e => e))
  const opens = client.rpc({ type: 'Topen', fid: 9, mode: OREAD })
  for (const fid of [1, 2, 3]) t.equal((await peer.next('Tstat')).fid, fid)
  const open = await peer.next('Topen')
  t.equal(open.tag, 3, 'tags count up from 0')
  t.equal(peer.chunks, 4, 'the four came together, one chunk each')
  peer.say(
    { type: 'Ropen', tag: 3, qid, iounit: 0 },
    { type: 'Rerror', tag: 2, ename: 'c', errno: 1 },
    { type: 'Rerror', tag: 0, ename: 'a', errno: 1 },
    { type: 'Rerror', tag: 1, ename: 'b', errno: 1 },
  )
  t.match(await opens, { qid, iounit: 0 })
  t.same((await Promise.all(calls)).map(e => (e as FsError).message), ['a', 'b', 'c'])
})
