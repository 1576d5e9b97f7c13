/** Runs the scripts of test/cluster/root/scripts on the rules that decide which tasks leave. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { evicted } from '../../../cluster/root/admission.js'
import { expired, reclaimed } from '../../../cluster/root/retention.js'
import { runDecisions } from '../../decisions.js'

// the scripts are not compiled: read them from the source folder
const script = (name: string) =>
  readFileSync(join(import.meta.dirname, '../../../../test/cluster/root/scripts', `${name}.txt`), 'utf8')

/** A task as a script has it: `ann.1@10:500*`. */
function task(word: string) {
  const { groups } = /^(?<id>(?<name>[a-z]+)\.\d+)(?:@(?<at>\d+))?(?::(?<bytes>\d+))?(?<mark>\*)?$/.exec(word) ?? {}
  if (!groups) throw new Error(`not a task: ${word}`)
  const bytes = Number(groups.bytes ?? 1)
  const marked = groups.mark !== undefined
  const ended = { endedAt: 1000 * Number(groups.at ?? 0), kept: bytes, held: bytes, wanted: marked }
  return { id: groups.id!, user: { name: groups.name! }, size: bytes, tries: Number(marked), ...ended }
}

/** The numbers of `most 3 tasks 1000 bytes 600 s`. */
function bounds(words: string[]) {
  const [tasks = 0, bytes = 0, s = 0] = words.filter(word => /^\d+$/.test(word)).map(Number)
  return { tasks, bytes, ms: 1000 * s }
}

const unknown = (line: string) => new Error(`a script has no such line: ${line}`)

t.test('a full queue evicts, or refuses, as the script says', async t => {
  let most = bounds([])
  t.doesNotThrow(() =>
    runDecisions(script('queue-full'), input => {
      let waiting: ReturnType<typeof task>[] = []
      const out: string[] = []
      for (const line of input) {
        const [first = '', ...rest] = line.split(' ')
        if (first === 'most') most = bounds(rest)
        else if (first === 'queue') waiting = rest.map(task)
        else if (rest.join(' ') === 'adds') {
          for (;;) {
            const leaves = evicted(waiting, first, most)
            if (typeof leaves === 'string') {
              out.push(leaves === 'none' ? 'room' : leaves)
              break
            }
            waiting = waiting.filter(other => other !== leaves)
            out.push(`${leaves.id} leaves`)
          }
        } else throw unknown(line)
      }
      return out
    }),
  )
})

t.test('ended tasks are forgotten as the script says', async t => {
  let most = bounds([])
  t.doesNotThrow(() =>
    runDecisions(script('retention'), input => {
      let ended: ReturnType<typeof task>[] = []
      const holds = new Map<string, number>()
      const out: string[] = []
      for (const line of input) {
        const [first = '', ...rest] = line.split(' ')
        const [second, third, ...more] = rest
        if (first === 'most') most = bounds(rest)
        else if (first === 'ended') ended = rest.map(task)
        else if (first === 'holds') for (let i = 0; i < rest.length; i += 2) holds.set(rest[i]!, Number(rest[i + 1]))
        else if (first === 'at') {
          const has = { tasks: ended.length, bytes: ended.reduce((sum, { kept }) => sum + kept, 0) }
          const tasks = expired(ended, has, 1000 * Number(second), most)
          out.push(tasks.map(({ id }) => id).join(' ') || 'none')
        } else if (second === 'needs') {
          const enough = (own: number, all: number) => (more.join(' ') === 'of theirs' ? own : all) >= Number(third)
          const tasks = reclaimed(ended, first, name => holds.get(name) ?? 0, enough)
          out.push(tasks?.map(({ id }) => id).join(' ') ?? 'refused')
        } else throw unknown(line)
      }
      return out
    }),
  )
})
