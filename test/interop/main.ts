/**
 * `npm run test:interop [-- NAME …]`: tests llambo with clients and servers that this project did not write; with
 * names, only those suites. It prints each thing it tries and ends with the table, which a whole run writes to
 * docs/reports/interop.md. It exits with 1 if anything failed. It takes about 8 minutes, and 40 on two cores that are
 * busy otherwise, because v9fs runs in emulated machines.
 */

import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { keep } from '../report.js'
import { diod } from './diod.js'
import { fuse } from './fuse.js'
import { need } from './packages.js'
import { markdown, type Row, type Suite } from './table.js'
import { v9fs } from './v9fs/suite.js'

const suites: readonly Suite[] = [v9fs, diod, fuse]

const names = process.argv.slice(2)
const unknown = names.filter(name => !suites.some(suite => suite.name === name))
if (unknown.length) {
  process.stderr.write(`unknown suite ${unknown.join(', ')}: there are ${suites.map(s => s.name).join(', ')}\n`)
  process.exit(2)
}

const rows: Row[] = []
for (const suite of suites.filter(s => names.length === 0 || names.includes(s.name))) {
  const report = (row: Row) => {
    rows.push(row)
    process.stdout.write(
      `${row.result.padEnd(7)} ${row.client}, ${row.dialect}: ${row.operation}${row.note ? ` (${row.note})` : ''}\n`,
    )
  }
  const missing = need(suite.packages)
  if (missing) report({ client: suite.name, dialect: '-', operation: 'everything', result: 'skipped', note: missing })
  else
    await suite.run(report).catch(error => {
      report({ client: suite.name, dialect: '-', operation: 'the suite itself', result: 'failed', note: `${error}` })
      process.stderr.write(`${error?.stack}\n`)
    })
}

const count = (result: Row['result']) => rows.filter(row => row.result === result).length
const summary = `${count('ok')} ok, ${count('failed')} failed, ${count('skipped')} skipped`
const table = markdown(rows)
process.stdout.write(`\n${table}\n${summary}\n`)
if (names.length === 0) {
  const head = `# Programs of others, tested with llambo

\`npm run test:interop\` writes this file. It runs programs that this project did not write against our server, our client and our mount. ${summary}.

`
  keep('test:interop', count('failed') > 0, summary)
  writeFileSync(fileURLToPath(new URL('../../../docs/reports/interop.md', import.meta.url)), head + table)
}
process.exit(count('failed') ? 1 : 0)
