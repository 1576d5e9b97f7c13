/** Tests the history file. */
import fs, { appendFileSync, chmodSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { History } from '../../../cli/terminal/history.js'

t.test('entries outlive the program, keep their lines and are private to the user', async t => {
  const file = join(t.testdir(), 'deep', 'history')
  const first = new History(file)
  first.add('one')
  first.add('two\nlines')
  first.add('two\nlines')
  first.add(' a secret')
  first.add('')
  t.same(new History(file).entries, ['one', 'two\nlines'])
  t.same(first.entries, ['one', 'two\nlines'])
  t.equal(statSync(file).mode & 0o777, 0o600)
  t.equal(readFileSync(file, 'utf8'), '"one"\n"two\\nlines"\n')
})

t.test('two programs can append to the same file', async t => {
  const file = join(t.testdir(), 'history')
  const [a, b] = [new History(file), new History(file)]
  t.same([a.entries, b.entries], [[], []])
  a.add('from a')
  b.add('from b')
  a.add('again from a')
  t.same(new History(file).entries, ['from a', 'from b', 'again from a'])
  t.same(b.entries, ['from b'])
})

t.test('after off entries are recalled but not written', async t => {
  const file = join(t.testdir(), 'history')
  const history = new History(file)
  history.off()
  history.add('unkept')
  t.same(history.entries, ['unkept'])
  t.same(new History(file).entries, [])
})

t.test('the history is bounded, in memory and in the file', async t => {
  const file = join(t.testdir(), 'history')
  const history = new History(file, { limit: 3 })
  for (let i = 0; i < 7; i++) history.add(`${i}`)
  t.same(history.entries, ['4', '5', '6'])
  t.same(new History(file, { limit: 3 }).entries, ['4', '5', '6'])
  t.equal(readFileSync(file, 'utf8'), '"4"\n"5"\n"6"\n')
})

t.test('malformed lines are skipped', async t => {
  const file = join(t.testdir(), 'history')
  writeFileSync(file, '"one"\n{"a":1}\n"cut o')
  t.same(new History(file).entries, ['one'])
})

t.test('a file that others may read becomes private', async t => {
  const file = join(t.testdir(), 'history')
  writeFileSync(file, '"one"\n')
  chmodSync(file, 0o644)
  t.same(new History(file).entries, ['one'])
  t.equal(statSync(file).mode & 0o777, 0o600)
})

t.test('a file that cannot be used causes one warning', async t => {
  const file = join(t.testdir(), 'history')
  mkdirSync(file)
  const warnings: string[] = []
  const history = new History(file, { warn: line => warnings.push(line) })
  history.add('one')
  history.add('two')
  t.same(history.entries, ['one', 'two'])
  t.equal(warnings.length, 1)
  t.match(warnings[0], /^history is not saved: .*history: not a file/)
})

t.test('a torn last line loses only that line', async t => {
  const file = join(t.testdir(), 'history')
  writeFileSync(file, '"one"\n"tw')
  const history = new History(file)
  t.same(history.entries, ['one'])
  history.add('three')
  t.same(new History(file).entries, ['one', 'three'])
})

/** Runs `work` just before the first call of a function of node:fs by the code under test. */
function before(t: Test, name: 'renameSync' | 'writeFileSync', work: () => void): void {
  const original = fs[name] as (...args: unknown[]) => unknown
  const put = (f: unknown) => {
    Object.assign(fs, { [name]: f })
    syncBuiltinESMExports()
  }
  put((...args: unknown[]) => {
    put(original)
    work()
    return original(...args)
  })
  t.teardown(() => put(original))
}

const old = (n: number) => Array.from({ length: n }, (_, i) => `"${i}"\n`).join('')

t.test('an entry that another program appends while the file is rewritten is kept', async t => {
  const file = join(t.testdir(), 'history')
  writeFileSync(file, old(7))
  before(t, 'renameSync', () => appendFileSync(file, '"late"\n'))
  t.same(new History(file, { limit: 3 }).entries, ['4', '5', '6'])
  t.equal(readFileSync(file, 'utf8'), '"4"\n"5"\n"6"\n"late"\n')
})

t.test('of two programs that rewrite the file at once, the second reads what the first has left', async t => {
  const dir = t.testdir()
  const file = join(dir, 'history')
  writeFileSync(file, old(7))
  before(t, 'writeFileSync', () => {
    new History(file, { limit: 3 }).add('first')
  })
  t.same(new History(file, { limit: 3 }).entries, ['5', '6', 'first'])
  t.equal(readFileSync(file, 'utf8'), '"4"\n"5"\n"6"\n"first"\n')
  t.same(readdirSync(dir), ['history'], 'nothing is left beside it')
})
