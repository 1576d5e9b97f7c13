/** The table of errors: its documentation, and the errnos of errors received without one. */
import { readFileSync } from 'node:fs'
import os from 'node:os'
import { fileURLToPath } from 'node:url'
import { getSystemErrorName } from 'node:util'
import t from 'tap'
import { FsError, fail, llamboErrors, errors as own, received } from '../../api/errors.js'

const docs = readFileSync(fileURLToPath(new URL('../../../docs/files.md', import.meta.url)), 'utf8')
// two numbers have two names each: use one
const names = new Map(
  Object.entries(os.constants.errno)
    .filter(([name]) => name !== 'EWOULDBLOCK' && name !== 'ENOTSUP')
    .map(([name, number]) => [number as number, name]),
)

const errors = { ...own, ...llamboErrors }

t.test('docs/files.md lists exactly the errors of the table', async t => {
  const table = docs.slice(docs.indexOf('| string | errno |')).split('\n').slice(2).filter(Boolean)
  const rows = Object.values(errors).map(
    ([text, errno]) => `| ${text.replace('{}', '…')} | ${names.get(errno) ?? getSystemErrorName(-errno)} |`,
  )
  t.strictSame(table, rows)
})

t.test('an error received over 9P2000, without an errno, gets the errno of its row', async t => {
  for (const code of Object.keys(errors) as (keyof typeof errors)[]) {
    const error = fail(code, 'a detail')
    // rows may begin with the same string: any of their errnos will do
    const same = Object.values(errors).filter(([text]) => error.message.startsWith(text.split('{}')[0]!))
    t.ok(
      same.some(([, errno]) => errno === received(error.message).errno),
      error.message,
    )
  }
})

t.test('fs/ has no error of llambo', async t => {
  for (const [text] of Object.values(own)) t.notMatch(text, /prompt|model|worker|session|queue|upstream/)
})

t.test(
  'an error carries the code of its row, also when it was received, and rows with one string are one error',
  async t => {
    t.equal(fail('noWorker', 'm').code, 'noWorker')
    t.equal(received('no worker serves m').code, 'noWorker')
    t.equal(new FsError('disk on fire', 5).code, undefined)
    t.equal(fail('io', fail('cancelled').message).is('cancelled'), false, 'a detail is not a code')
    t.ok(fail('notPermitted', 'x').is('permission'))
    t.throws(() => fail('nonsense' as 'io'), /no error is registered as nonsense/)
  },
)
