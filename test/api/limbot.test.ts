/** Tests of the parser for saved limbot conversations. */
import t from 'tap'
import { parseHead, parseMessage } from '../../api/limbot.js'

t.test('a conversation from somebody else is read line by line, each part within its bounds', async t => {
  const head = { limbot: 1, id: '20260101-1', created: '2026-01-01', title: 'Bread', settings: { model: null } }
  t.strictSame(parseHead(JSON.stringify(head)), head)
  t.equal(parseHead(JSON.stringify({ ...head, title: 'a\u001b[2Jb' })).title, 'a\ufffd[2Jb')
  const message = { role: 'assistant', content: 'hi\n\u0007', typed: 'h', stopped: 'out of memory', past: true }
  t.strictSame(parseMessage(JSON.stringify(message)), message)
  t.strictSame(parseMessage('{"role":"user","content":""}'), { role: 'user', content: '' })
  for (const bad of [{ limbot: 2 }, { id: 'a b' }, { id: 7 }, { created: 7 }, { title: [] }, { settings: 'x' }])
    t.throws(() => parseHead(JSON.stringify({ ...head, ...bad })), { name: 'Unfit' }, JSON.stringify(bad))
  for (const bad of [{ role: 'system' }, { content: 1 }, { typed: {} }, { stopped: 3 }, { past: 'x' }])
    t.throws(() => parseMessage(JSON.stringify({ ...message, ...bad })), { name: 'Unfit' }, JSON.stringify(bad))
  t.throws(() => parseMessage(`${'['.repeat(1000)}`), { message: /over 64 deep/ })
})
