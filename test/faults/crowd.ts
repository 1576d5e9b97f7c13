/** The scenario `crowd`: many programs ask while workers and the server are killed. */

import { setTimeout as sleep } from 'node:timers/promises'
import type { FsError } from '../../api/errors.js'
import { fuseProblem } from '../../mnt/mount.js'
import { ndjson, type Tree } from '../cluster/worker/fixture.js'
import { isRow } from '../sim/check.js'
import { type Asker, byData, byGenerate, byMount, echoPrompt, type Prompt, story, Tally, Wrong } from './clients.js'
import { Cluster } from './cluster.js'
import { must, type Scenario, type Stage, seconds, until, within } from './stage.js'

/** How long the crowd asks, how often a worker is killed, and how often the server is killed, in ms. */
const LONG_MS = 300_000
const WORKER_MS = 4_000
const SERVER_MS = 40_000
/** Programs of each kind. */
const EACH = 10
/**
 * A request that has not ended after this many ms never will: it waits 30 s for a worker, and each of its moves may
 * take as long.
 */
const MOST_MS = 240_000
/** A turn that ended less than this many ms before the server's death may not have been saved. */
const UNSAVED_MS = 1_000
/** How long after a restart the server may not know a task yet, in ms: the worker that answers it has to join again. */
const RECOVERS_MS = 15_000
/**
 * The share of answers that must be complete. Each death of the server ends at most one answer of each of the 50
 * programs, and between deaths each program gets several.
 */
const SHARE = 0.5

/**
 * What Linux and a shell call those errors of fs/base/errors.ts that a program at a mount may get while its server is killed
 * and the mount is gone.
 */
const errnos =
  /Input\/output error|Transport endpoint is not connected|No such file or directory|Directory nonexistent|No such device or address|Connection timed out|Device or resource busy|Cannot send after transport endpoint shutdown/

const isHangUp = (error: unknown) => /^i\/o on hungup channel/.test((error as Error).message)

/** A connection to a server that is killed and started again. When it breaks, a new one replaces it. */
class Reached {
  #tree: Promise<Tree> | undefined

  constructor(readonly cluster: Cluster) {}

  /** Uses the connection, or a new one if the last broke. Waits for a server. */
  async use<T>(does: (tree: Tree) => Promise<T>): Promise<T> {
    this.#tree ??= this.#dial()
    try {
      return await does(await this.#tree)
    } catch (error) {
      if (!(error instanceof Wrong)) this.#tree = undefined
      throw error
    }
  }

  #dial(): Promise<Tree> {
    return until('a server', 120_000, async () => {
      try {
        return await this.cluster.tree()
      } catch (error) {
        if (!isRow((error as Error).message)) throw new Wrong(`it dials: ${(error as Error).message}`)
        await sleep(200)
      }
    })
  }
}

/** Asks by `generate`. If the server dies, it reads on by the task's number, from the last byte that came. */
function byNumber(reached: Reached, onReadOn: () => void): Asker {
  return async ({ text, answer }) => {
    let lines = ''
    const ask = async (tree: Tree) => {
      const fid = await tree.open('generate')
      await fid.write(0, Buffer.from(JSON.stringify({ messages: [{ role: 'user', content: text }] })))
      for (let at = 0, piece: Uint8Array; (piece = await fid.read(at, 65536)).length > 0; at += piece.length)
        lines += Buffer.from(piece)
      fid.clunk().catch(() => undefined)
    }
    try {
      await reached.use(ask)
      return story(ndjson(lines), answer)
    } catch (error) {
      if (!isHangUp(error)) throw error
      const events = ndjson(lines.slice(0, lines.lastIndexOf('\n') + 1))
      const task = events[0]?.task as string | undefined
      if (task === undefined) throw error
      const given = events.map(({ event, text }) => (event === 'token' ? text : '')).join('')
      const rest = await readOn(reached, task, Buffer.byteLength(given))
      if (given + rest !== `${answer}\n`)
        throw new Wrong(`task ${task} read on from ${given.length}: ${JSON.stringify((given + rest).slice(-200))}`)
      onReadOn()
    }
  }
}

/**
 * The rest of a task's answer. It is asked for again for a while: its worker may not be back yet, or the server may
 * have died once more.
 */
async function readOn(reached: Reached, task: string, from: number): Promise<string> {
  let rest = Buffer.alloc(0)
  for (let end = Date.now() + RECOVERS_MS; ; ) {
    try {
      await reached.use(async tree => {
        const fid = await tree.open(`task/${task}/answer`, 0)
        for (let piece: Uint8Array; (piece = await fid.read(from + rest.length, 65536)).length > 0; )
          rest = Buffer.concat([rest, piece])
        fid.clunk().catch(() => undefined)
      })
      return rest.toString()
    } catch (error) {
      if (isHangUp(error)) end = Date.now() + RECOVERS_MS
      else if (!(error as FsError).isMissing || Date.now() > end) throw error
      await sleep(200)
    }
  }
}

interface Turn extends Prompt {
  /** When its answer was complete; undefined if it is not. */
  whole?: number
}

/** A session that is continued after each death of the server. */
class Conversation {
  #id: string | undefined
  #turns: Turn[] = []

  constructor(
    readonly reached: Reached,
    /** When the server was killed, in ms since 1970. */
    readonly deaths: readonly number[],
  ) {}

  readonly ask: Asker = async prompt => {
    const turn: Turn = { ...prompt }
    try {
      await this.reached.use(async tree => {
        this.#id ??= await tree.session()
        this.#turns.push(turn)
        await byData(tree, `session/${this.#id}/data`)(prompt)
      })
      turn.whole = Date.now()
    } catch (error) {
      if (!(error as FsError).isMissing) throw error
      const had = this.#turns.find(turn => this.#kept(turn))
      if (had) throw new Wrong(`session ${this.#id} is gone, and with it ${had.text}`)
      this.#id = undefined
      this.#turns = []
      throw error
    }
  }

  /**
   * Checks that the history consists of turns that were asked, in order, with their answers, and that no turn with a
   * complete answer is missing.
   */
  async check(): Promise<void> {
    if (this.#id === undefined) return
    const history = ndjson(await this.reached.use(tree => tree.read(`session/${this.#id}/history`)))
    const said = history.map(({ role, content }) => `${role}: ${content}`)
    for (const turn of this.#turns) {
      if (said[0] !== `user: ${turn.text}`) {
        if (this.#kept(turn)) throw new Wrong(`session ${this.#id} has forgotten ${turn.text}: ${said[0]} is there`)
        continue
      }
      if (said[1] !== `assistant: ${turn.answer}`) throw new Wrong(`session ${this.#id}: ${turn.text}: ${said[1]}`)
      said.splice(0, 2)
    }
    if (said.length > 0) throw new Wrong(`session ${this.#id}: nobody has asked, or not then: ${said[0]}`)
  }

  /** Whether a turn was answered and there was time to save it. */
  #kept({ whole }: Turn): boolean {
    return whole !== undefined && !this.deaths.some(death => death >= whole && death - whole < UNSAVED_MS)
  }
}

/** Fails if an answer is wrong, if an error is not one of fs/base/errors.ts, or if a request does not end. */
const strictly =
  (ask: Asker, isKnown: (message: string) => boolean): Asker =>
  async prompt => {
    try {
      await within('its end', MOST_MS, ask(prompt))
    } catch (error) {
      if (error instanceof Wrong) throw error
      const { message } = error as Error
      if (!isKnown(message)) throw new Wrong(`no error of the table: ${message}`)
      await sleep(500)
      throw error
    }
  }

/** 50 programs ask, while workers and the server are killed again and again. */
async function crowds(stage: Stage): Promise<string> {
  const problem = await fuseProblem()
  const cluster = await Cluster.start(stage, {
    slots: 8,
    env: { LLAMBO_ENGINE_RATE: '20' },
    mount: problem === undefined,
    ctl: ['retry resumes 5'],
  })
  const deaths: number[] = []
  let readOn = 0
  const conversations: Conversation[] = []
  const askers: Record<string, Asker> = {}
  for (let n = 0; n < EACH; n++) {
    const reached = () => new Reached(cluster)
    const using = (by: (tree: Tree) => Asker): Asker => {
      const all = reached()
      return prompt => all.use(tree => by(tree)(prompt))
    }
    const conversation = new Conversation(reached(), deaths)
    conversations.push(conversation)
    askers[`data${n}`] = strictly(using(byData), isRow)
    askers[`generate${n}`] = strictly(using(byGenerate), isRow)
    askers[`session${n}`] = strictly(conversation.ask, isRow)
    askers[`number${n}`] = strictly(
      byNumber(reached(), () => readOn++),
      isRow,
    )
    // the mount point has no `session` while nothing is mounted, so that no file is created there
    const mounted = `${cluster.mount}/session/..`
    askers[`mount${n}`] = problem
      ? strictly(using(byData), isRow)
      : strictly(byMount(mounted), message => errnos.test(message))
  }

  const stop = new AbortController()
  const tally = new Tally()
  const began = Date.now()
  const load = tally.load(askers, (who, n) => echoPrompt(`${who}-${n}`, 10 + ((n * 37) % 100)), stop.signal)
  let kills = 0
  for (const end = began + LONG_MS; Date.now() < end; ) {
    await sleep(WORKER_MS)
    if (Date.now() - (deaths.at(-1) ?? began) > SERVER_MS) {
      deaths.push(Date.now())
      cluster.run.child.kill('SIGKILL')
      await cluster.run.ended
      await cluster.up()
      continue
    }
    const live = (await cluster.workers()).filter(({ pid, state }) => pid !== undefined && /idle|busy/.test(state))
    const victims = live.filter(({ active }) => active > 0)
    const victim = victims[Math.floor(Math.random() * victims.length)]
    if (!victim || live.length < 2) continue
    process.kill(victim.pid!, 'SIGKILL')
    kills++
  }
  stop.abort()
  await within('the last answers', MOST_MS, load)
  must(tally.wrong.length === 0, `wrong: ${kinds(tally.wrong)}`)
  const figures = tally.check(SHARE)
  await until('nothing runs', 30_000, async () => {
    const { active, queue } = await cluster.status()
    return active === '0' && queue === '0'
  })
  for (const conversation of conversations) await conversation.check()
  must(deaths.length >= 3 && kills >= 10, `${deaths.length} times the server and ${kills} workers were killed`)
  must(readOn > 0, 'no answer was read on after its server had died')
  return `${EACH * 5} programs for ${seconds(Date.now() - began)}: ${kills} workers and ${deaths.length} times the server killed, ${figures}, ${readOn} read on by number from the next server, ${conversations.length} conversations whole; the others are told ${kinds(tally.failed)}${problem ? `; no mount: ${problem}` : ''}`
}

/** The failures, each kind once, with its count. */
function kinds(failed: readonly string[]): string {
  const count = new Map<string, number>()
  for (const line of failed) {
    const errno = errnos.exec(line)?.[0]
    const kind =
      errno ??
      line
        .replace(/^\w+: /, '')
        .replace(/\d+/g, 'N')
        .slice(0, 120)
    count.set(kind, (count.get(kind) ?? 0) + 1)
  }
  return [...count].map(([kind, n]) => `'${kind}' ${n} times`).join(', ') || 'nothing'
}

export const crowd: Scenario = { name: 'crowd', run: crowds }
