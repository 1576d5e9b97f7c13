/** The memory budget: the shares of users, and what makes room for them. */
import t from 'tap'
import { Budget } from '../../cluster/root/budget.js'
import { jsonBytes, textBytes } from '../../cluster/root/weight.js'

const ann = { name: 'ann' }
const bob = { name: 'bob' }

t.test('one user gets two thirds of what is not reserved, and another user can still begin', async t => {
  const budget = new Budget({ limit: 960 })
  const big = budget.hold(ann)
  big.grow(560)
  t.throws(() => big.grow(1), { message: /^over the memory budget of this server: ann holds 1 of 1 MiB; /, errno: 12 })
  t.equal(budget.used, 560, 'a refusal changes nothing')
  budget.hold(bob).grow(180)
  t.equal(budget.refused, 1)
  t.throws(() => big.grow(1), /over the memory budget/, 'the biggest user is refused first')
})

t.test('ten users that each take all they can get leave room for one more', async t => {
  const budget = new Budget({ limit: 1_000_000 })
  for (let user = 0; user < 10; user++) {
    const hold = budget.hold({ name: `u${user}` })
    try {
      for (;;) hold.grow(1000)
    } catch {}
  }
  t.ok(budget.used < 1_000_000)
  budget.hold(bob).grow(1_000_000 / 64)
})

t.test('a hold that was freed no longer counts, and counts nothing that it is given later', async t => {
  const budget = new Budget({ limit: 900 })
  const hold = budget.hold(ann)
  hold.grow(300)
  hold.resize(100)
  t.equal(budget.usedBy('ann'), 100)
  hold.free()
  hold.free()
  hold.grow(300)
  t.equal(budget.used, 0)
})

t.test(
  'memory that can be reclaimed is freed before a user is refused, and kept if freeing it would not help',
  async t => {
    const budget = new Budget({ limit: 900 })
    const kept = budget.hold(ann)
    kept.grow(500)
    let asked = 0
    budget.onShort((user, fits) => {
      asked++
      t.equal(user, 'ann')
      if (!fits(500, 500)) return false
      kept.free()
      return true
    })
    t.throws(() => budget.check('ann', 700), /over the memory budget/)
    t.equal(budget.used, 500, 'it is kept, because freeing it would not help')
    budget.hold(ann).grow(500)
    t.same([budget.used, asked], [500, 2])
  },
)

t.test('a process without free memory refuses what the budget would grant', async t => {
  const budget = new Budget({ limit: 900, room: bytes => bytes < 100 })
  budget.hold(ann).grow(99)
  t.throws(() => budget.hold(ann).grow(100), /over the memory budget/)
})

t.test('texts and JSON are counted with no less than they take in memory', async t => {
  t.ok(textBytes('') > 0)
  t.ok(textBytes('é€') >= 4, 'two bytes for each character if one of them needs two')
  const nested = `[${'[],'.repeat(100_000)}[]]`
  t.ok(jsonBytes(nested) > 20 * nested.length, `${jsonBytes(nested) / nested.length} times its text`)
  const prose = JSON.stringify('commas, colons: and [brackets] in a text, "quoted" or not, are no items')
  t.equal(jsonBytes(prose), textBytes(prose) + 64)
})
