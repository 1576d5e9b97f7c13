/** Runs the scripts of test/cluster/orchestrator/scripts on the rules that decide about attempts. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { count, stuck, type Tally } from '../../../cluster/orchestrator/dispatch/retry.js'
import { patience, stillAfter } from '../../../cluster/orchestrator/dispatch/watchdog.js'
import { Pace } from '../../../cluster/orchestrator/members/pace.js'
import { runDecisions } from '../../decisions.js'

// the scripts are not compiled: read them from the source folder
const script = (name: string) =>
  readFileSync(join(import.meta.dirname, '../../../../test/cluster/orchestrator/scripts', `${name}.txt`), 'utf8')

const unknown = (line: string) => new Error(`a script has no such line: ${line}`)

t.test('a task whose attempt broke off goes on or ends, as the script says', async t => {
  let settings = { tries: 0, resumes: 0 }
  t.doesNotThrow(() =>
    runDecisions(script('retry'), input => {
      let tally: Tally = { failuresInARow: 0, moves: 0, pauses: 0 }
      let tokens = 0
      const out: string[] = []
      for (const line of input) {
        const [first, ...words] = line.split(' ')
        const has = (word: string) => words.includes(word)
        if (first === 'retry') settings = { tries: Number(words[1]), resumes: Number(words[3]) }
        else if (first === 'lost') {
          tally = count(tally, { orderly: has('orderly'), pause: has('pause'), tokens: has('tokens') })
          if (has('tokens')) tokens++
          const given = {
            tokens,
            text: tokens > 0 || has('text'),
            structured: has('schema'),
            continuable: !has('noids'),
          }
          out.push(stuck(tally, given, settings) ?? 'again')
        } else throw unknown(line)
      }
      return out
    }),
  )
})

t.test('a worker stands still when the script says so', async t => {
  t.doesNotThrow(() =>
    runDecisions(script('still'), input => {
      const pace = new Pace()
      const out: string[] = []
      for (const line of input) {
        const [first, ...words] = line.split(' ')
        const [a, b = 0, c = 0] = words.map(Number)
        if (first === 'first') pace.first(a!, b, c)
        else if (first === 'token') for (const word of words) pace.token(Number(word))
        else if (first === 'waits') {
          const expected = pace.expected(a)
          out.push(expected === undefined ? 'unknown' : `${Math.round(stillAfter(expected))} ms`)
        } else throw unknown(line)
      }
      return out
    }),
  )
})

t.test('a silent attempt is lost in the end, however slow its worker is', async t => {
  const quiet = { producedTokens: false, size: 0, position: 0, clusters: 0, patience_s: 0 }
  const tokens = { ...quiet, producedTokens: true }
  t.equal(patience(tokens), 30_000)
  t.equal(patience({ ...quiet, size: 4000 }), 20_000, 'a long prompt may take longer')
  t.equal(patience({ ...quiet, position: 1 }), 40_000, 'a prompt in the queue of its worker waits for one before it')
  t.equal(patience({ ...tokens, clusters: 2 }), 90_000, 'each cluster on the way may have to find a hung worker')
  t.equal(patience({ ...tokens, patience_s: 120 }), 120_000, 'an upstream has its own patience')
})
