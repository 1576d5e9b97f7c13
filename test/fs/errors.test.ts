/** The table of errors: its documentation, and the errnos of errors received without one. */
import { readFileSync } from 'node:fs'
import os from 'node:os'
import { fileURLToPath } from 'node:url'
import { getSystemErrorName } from 'node:util'
import t from 'tap'
import { errors, fail, received } from '../../fs/errors.js'

const docs = readFileSync(fileURLToPath(new URL('../../../docs/files.md', import.meta.url)), 'utf8')
// two numbers have two names each: use one
const names = new Map(
  Object.entries(os.constants.errno)
    .filter(([name]) => name !== 'EWOULDBLOCK' && name !== 'ENOTSUP')
    .map(([name, number]) => [number as number, name]),
)

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
