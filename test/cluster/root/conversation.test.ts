/** The history of a conversation that outlives its server. */
import t from 'tap'
import { Budget } from '../../../cluster/root/budget.js'
import { Conversation } from '../../../cluster/root/conversation.js'

const user = { name: 'ann', uid: 1000, role: 'use' as const }
const turn = (n: number) => [
  { role: 'user' as const, content: `question ${n}` },
  { role: 'assistant' as const, content: `answer ${n}` },
]
const restored = (...turns: number[]) => {
  const conversation = new Conversation(user, new Budget())
  const settings = { sampling: {}, system: '' }
  conversation.restore({ settings, history: turns.flatMap(turn) } as Parameters<Conversation['restore']>[0])
  return conversation
}
const asked = ({ history }: Conversation) =>
  history.flatMap(({ role, content }) => (role === 'user' ? Number(content.slice(-1)) : []))

t.test('a turn that an earlier server began stands before the turns that were asked after the restart', async t => {
  const conversation = restored(1, 2)
  conversation.add(...turn(4))
  t.notOk(conversation.takeEdited())
  conversation.addRecovered(...turn(3))
  t.same(asked(conversation), [1, 2, 3, 4])
  t.ok(conversation.takeEdited(), 'the saved history is written again, whole')
  conversation.add(...turn(5))
  t.same(asked(conversation), [1, 2, 3, 4, 5])
})

t.test('a turn that is found in time only adds to the saved history', async t => {
  const conversation = restored(1)
  conversation.addRecovered(...turn(2))
  t.notOk(conversation.takeEdited())
  conversation.add(...turn(3))
  t.same(asked(conversation), [1, 2, 3])
})

t.test('a history that was cleared meanwhile begins with it', async t => {
  const conversation = restored(1, 2)
  const request = { generate: { messages: [1, 2].flatMap(turn).concat(turn(3)[0]!) } }
  conversation.clear()
  conversation.add(...turn(4))
  t.same(
    conversation.newIn(request as unknown as Parameters<Conversation['newIn']>[0]).map(({ content }) => content),
    ['question 3'],
    'what was cleared does not come back',
  )
  conversation.addRecovered(...turn(3))
  t.same(asked(conversation), [3, 4])
})
