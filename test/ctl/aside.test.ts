/** Tests damaged files that are renamed, and files that are read up to a bound or replaced atomically. */
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { isAside, keepAside, setAside } from '../../cli/aside.js'
import { readBounded } from '../../cli/bounded.js'
import { replacePrivate } from '../../cli/private-file.js'
import { fileStore } from '../../ctl/server/store.js'

t.test('up to five damaged files of one name are kept, and the newest is NAME.damaged', async t => {
  const dir = mkdtempSync(join(tmpdir(), 'llambo-aside-'))
  t.teardown(() => rmSync(dir, { recursive: true }))
  const path = join(dir, 'ctl')
  const kept = () => readdirSync(dir).map(name => [name, readFileSync(join(dir, name), 'utf8')])
  for (const text of ['first', 'second']) {
    writeFileSync(path, text)
    setAside(path)
  }
  t.same(kept(), [
    ['ctl.damaged', 'second'],
    ['ctl.damaged.1', 'first'],
  ])
  for (let n = 3; n <= 9; n++) {
    writeFileSync(path, String(n))
    setAside(path)
  }
  t.same(
    kept().map(([, text]) => text),
    ['9', '8', '7', '6', '5'],
  )
  t.ok(kept().every(([name]) => isAside(name!)))
  for (const name of ['ctl', 'damaged', 'ctl.damaged.10', 'ctl.damaged.new']) t.notOk(isAside(name), name)

  const said: string[] = []
  keepAside(path, new Error('cut'), (name, why) => said.push(`${name}: ${why}`))
  t.match(said, [/^ctl: cut; .*ENOENT|no such file/], 'a file that cannot be renamed is reported, and nothing is moved')
  t.equal(kept()[0]![1], '9')
})

t.test('a kept file is read up to a bound, and one that cannot be read says why', async t => {
  const dir = mkdtempSync(join(tmpdir(), 'llambo-store-'))
  t.teardown(() => rmSync(dir, { recursive: true }))
  const store = fileStore(dir)
  t.equal(store.read('counters'), undefined)
  mkdirSync(join(dir, 'ctl'))
  t.throws(
    () => store.read('ctl'),
    { code: 'EISDIR', message: / '.*\/ctl'$/ },
    'the error names the file also where read(2) fails',
  )
  const file = join(dir, 'session-1')
  writeFileSync(file, '0123456789')
  t.equal(store.read('session-1'), '0123456789')
  t.equal(readBounded(file, 10), '0123456789')
  t.throws(() => readBounded(file, 9), { message: `file too large: ${file}: at most 9 bytes` })
  truncateSync(file, 300 * 2 ** 20)
  t.throws(() => store.read('session-1'), { message: /^file too large: .*session-1: at most \d+ bytes$/ })
})

t.test('a full disk is reported with the file and leaves nothing half written', t => {
  const dir = t.testdir({ kept: 'as it was' })
  const path = join(dir, 'kept')
  symlinkSync('/dev/full', `${path}.${process.pid}`)
  t.throws(() => replacePrivate(path, 'more'), { code: 'ENOSPC', message: new RegExp(` '${path}\\.${process.pid}'$`) })
  t.strictSame(readdirSync(dir), ['kept'])
  t.equal(readFileSync(path, 'utf8'), 'as it was')
  replacePrivate(path, 'more')
  t.equal(readFileSync(path, 'utf8'), 'more')
  t.end()
})
