/** Checks that each rule that the mutation run breaks is still in the code, so that `npm run test:mutate` can break it. */
import { readFileSync } from 'node:fs'
import t from 'tap'
import { mutations } from './mutations.js'

t.test('each rule that the mutation run breaks stands in its file once', async t => {
  for (const { rule, file, from } of mutations) {
    const text = readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8')
    t.equal(text.split(from).length - 1, 1, rule)
  }
})
