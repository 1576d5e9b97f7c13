/** Tests the reports of the long suites: a red one fails, an old or a missing one is only mentioned. */

import t from 'tap'
import { git, last, suites } from './report.js'

for (const [suite, folders] of Object.entries(suites)) {
  const report = last(suite)
  if (!report) {
    t.comment(`${suite}: no report; npm run ${suite} writes one`)
    t.pass(`${suite} has no red report`)
    continue
  }
  const { commit, changed, date, summary } = report
  t.notOk(report.red, `${suite}: ${summary} (${date}, ${commit.slice(0, 7)})`)
  // a shallow clone or a package does not have that commit
  const later = git('rev-list', '--count', `${commit}..HEAD`, '--', ...folders)
  if (later === undefined) t.comment(`${suite}: how old its report is cannot be said without the history`)
  else if (later !== '0') t.comment(`${suite}: its report is older than ${later} commits to ${folders.join(' ')}`)
  if (changed) t.comment(`${suite}: it ran on files that were not those of ${commit.slice(0, 7)}`)
}
