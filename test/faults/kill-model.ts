/** The scenario `kill-model`: workers with the bundled model are killed. */

import { setTimeout as sleep } from 'node:timers/promises'
import { parseRecords } from '../../fs/base/quote.js'
import { ndjson, readAll, type Tree } from '../cluster/worker/fixture.js'
import { type Asker, Tally, Wrong } from './clients.js'
import { Cluster } from './cluster.js'
import { killing, MOVES, Moves } from './kill.js'
import { must, type Scenario, type Stage, seconds } from './stage.js'

/** Beginnings that the bundled model continues for as long as it may. */
const beginnings = [
  'Once upon a time',
  'In the beginning',
  'The files of a server',
  'A rabbit called Glenda',
  'One two three four',
  'The capital of France',
  'She wrote to a file',
  'Every machine has',
  'My name is Ann',
  'It was raining',
  'The tower was tall',
  'What is a process',
  'Two friends met',
  'The stars were',
  'Reading and writing',
  'He said that',
  'A model is',
  'Long ago there',
  'The sea is',
  'Nobody knew',
] as const

/**
 * How long an answer takes if nothing is killed, in ms; while workers are killed and started it takes twice that. And
 * the most tokens that fit into the model's context.
 */
const LONG_MS = 3_000
const MOST_TOKENS = 900
/** The fractions of an answer at which it is continued, in the runs without kills. */
const SEAMS = [0, 0.2, 0.4, 0.6, 0.8]
/** How far apart simultaneous answers start, in ms. */
const STAGGERS = [10, 30, 70, 150]

/** The part of a request that is used here. */
interface Asked {
  readonly prompt: unknown
  readonly temperature?: number
  readonly max_tokens?: number
  readonly prefix_ids?: readonly unknown[]
}

interface Answer {
  readonly text: string
  readonly ids: readonly unknown[]
  /** After how many tokens it was moved to another worker. */
  readonly seams: readonly number[]
  readonly task: string
}

/**
 * Asks for a continuation. `ids` includes the ids that the request gave. @throws `Wrong` if its events are
 * inconsistent, or the message of its `error` event
 */
async function goOn(tree: Tree, request: Asked): Promise<Answer> {
  const fid = await tree.open('generate')
  let lines: Record<string, unknown>[]
  try {
    await fid.write(0, new TextEncoder().encode(JSON.stringify(request)))
    lines = ndjson(await readAll(fid))
  } finally {
    fid.clunk().catch(() => undefined)
  }
  const ids = [...(request.prefix_ids ?? [])]
  const seams: number[] = []
  let text = ''
  for (const event of lines) {
    if (event.event === 'token') {
      text += event.text
      ids.push(...(event.ids as unknown[]))
    } else if (event.event === 'resume') {
      if (event.at !== ids.length) throw new Wrong(`resume at ${event.at} after ${ids.length} tokens`)
      seams.push(ids.length)
    }
  }
  const end = lines.at(-1)
  if (end?.event === 'error') throw new Error(String(end.error))
  if (end?.event !== 'end' || end.completion_tokens !== ids.length)
    throw new Wrong(`${ids.length} tokens, and the end is ${JSON.stringify(end)}`)
  return { text, ids, seams, task: String(lines[0]!.task) }
}

/** The bundled model answers while its workers are killed. Greedy answers must be the same as without kills. */
async function killModel(stage: Stage): Promise<string> {
  const cluster = await Cluster.start(stage, {
    slots: 8,
    env: { LLAMBO_ENGINE: 'llama', LLAMBO_ENGINE_THREADS: '1' },
    ctl: ['retry tries 5 resumes 5'],
  })
  const trees = await Promise.all(beginnings.map(() => cluster.tree()))
  const greedy = (i: number, max_tokens: number): Asked => ({ prompt: beginnings[i], temperature: 0, max_tokens })
  // undisturbed, all at once, and with enough tokens to take LONG_MS
  let tokens = 60
  let undisturbed: Answer[]
  for (;;) {
    const began = performance.now()
    undisturbed = await Promise.all(trees.map((tree, i) => goOn(tree, greedy(i, tokens))))
    const took = performance.now() - began
    if (took >= LONG_MS || tokens === MOST_TOKENS) break
    tokens = Math.min(MOST_TOKENS, Math.ceil((tokens * 1.2 * LONG_MS) / took))
  }
  // Sums are rounded differently if more answers are made at once, if prompts are read meanwhile, and if tokens are
  // read in one batch. If two tokens are that close, the greedy choice may differ without any fault: such prompts are
  // left out.
  const models = parseRecords(await trees[0]!.read('status')).filter(({ word }) => word === 'model')
  const { digest } = models.find(({ attrs }) => attrs.loaded === 'yes')!.attrs
  const same = async (i: number, share: number) => {
    const { text, ids } = undisturbed[i]!
    const prefix_ids = ids.slice(0, Math.floor(tokens * share))
    const rest = await goOn(trees[0]!, { ...greedy(i, tokens), ...(share > 0 && { prefix_ids, digest }) })
    return rest.text !== '' && text.endsWith(rest.text) && rest.ids.length === tokens
  }
  let long = beginnings.flatMap((_, i) => (undisturbed[i]!.ids.length === tokens ? [i] : []))
  for (const stagger of STAGGERS) {
    const others = trees.map((tree, i) => sleep(i * stagger).then(() => goOn(tree, greedy(i, tokens))))
    const texts = (await Promise.all(others)).map(({ text }) => text)
    long = long.filter(i => texts[i] === undisturbed[i]!.text)
  }
  for (const share of SEAMS) {
    const equal = new Set<number>()
    for (const i of long) if (await same(i, share)) equal.add(i)
    long = long.filter(i => equal.has(i))
  }
  must(long.length >= 5, `only ${long.length} of the answers are the same alone, together and continued`)

  // an answer that differs although it was not moved shows one more such prompt
  const unsteady = new Set<number>()
  const different: { readonly prompt: number; readonly what: string }[] = []
  const askers: Record<'greedy' | 'warm', Record<string, Asker>> = { greedy: {}, warm: {} }
  for (const [n, tree] of trees.entries()) {
    const i = long[n % long.length]!
    if (n % 3 > 0) {
      askers.greedy[`greedy${n}`] = async () => {
        const answer = await goOn(tree, greedy(i, tokens))
        const { ids } = undisturbed[i]!
        const at = answer.ids.findIndex((id, n) => id !== ids[n])
        if (at < 0 && answer.text === undisturbed[i]!.text) return
        if (answer.seams.length === 0) unsteady.add(i)
        const seams = answer.seams.join(', ')
        different.push({ prompt: i, what: `“${beginnings[i]}” from token ${at} of ${tokens} on, moved after ${seams}` })
      }
      continue
    }
    // what was read must be kept, whatever another worker would make of it
    askers.warm[`warm${n}`] = async () => {
      const answer = await goOn(tree, { ...greedy(i, tokens), temperature: 1 })
      const kept = await tree.read(`task/${answer.task}/answer`)
      if (kept.replace(/\n$/, '') !== answer.text)
        throw new Wrong(`read ${JSON.stringify(answer.text)}, kept ${JSON.stringify(kept)}`)
    }
  }
  const stop = new AbortController()
  const [greedily, warmly] = [new Tally(), new Tally()]
  const began = Date.now()
  const prompt = () => ({ text: '', answer: '' })
  const load = Promise.all([
    greedily.load(askers.greedy, prompt, stop.signal),
    warmly.load(askers.warm, prompt, stop.signal),
  ])
  const moves = new Moves(cluster)
  const before = await moves.count()
  const { kills } = await killing(cluster, moves, before + MOVES)
  stop.abort()
  await load
  const moved = (await moves.count()) - before
  const wrong = different.filter(({ prompt }) => !unsteady.has(prompt)).map(({ what }) => what)
  must(wrong.length === 0, `${wrong.length} answers differ: ${wrong[0]}`)
  const steady = long.length - unsteady.size
  must(steady >= 5, `only ${steady} of the answers were the same whenever they were not moved`)
  const figures = greedily.check(0.99)
  const sampled = warmly.check(0.99)
  must(moved >= MOVES, `only ${moved} moves in ${kills} kills`)
  return `${kills} kills in ${seconds(Date.now() - began)}, ${moved} moves; greedy, ${tokens} tokens of ${steady} prompts, as undisturbed: ${figures}, the shortest ${seconds(greedily.shortest_ms)}; at temperature 1: ${sampled}`
}

export const killBundled: Scenario = { name: 'kill-model', run: killModel }
