/** A minimal worker for large clusters. */

import type { SaidEvent } from '../../api/answer.js'
import { parseRequest } from '../../api/request.js'
import { status as statusFile } from '../../api/status.js'
import { exchange } from '../../cluster/root/exchange.js'
import type { File, Owner } from '../../fs/file.js'
import { AppendLog } from '../../fs/kit/append-log.js'
import { text } from '../../fs/kit/content.js'
import { ctl, word1 } from '../../fs/kit/ctl.js'
import { dir } from '../../fs/kit/dir.js'

export interface PeerOptions {
  name: string
  id: string
  version: string
  owner: Owner
  slots: number
  /** Tokens a second of each answer. */
  rate: number
}

/** How often the answers of all peers are continued, in ms. */
const TICK_MS = 1

/** The answers in progress in this process. Each call continues an answer, and returns whether it has ended. */
const running = new Set<(now: number) => boolean>()
let ticking = false

function run(answer: (now: number) => boolean): void {
  running.add(answer)
  if (ticking) return
  ticking = true
  setInterval(() => {
    const now = performance.now()
    for (const answer of running) if (answer(now)) running.delete(answer)
  }, TICK_MS)
}

/**
 * The least that an orchestrator accepts as a worker: a status, and a `generate` that gives as many tokens as
 * requested. It costs so little that ten thousand fit into a process.
 */
export function peer(o: PeerOptions): File {
  const { owner } = o
  let { name } = o
  let active = 0
  const began = performance.now()

  const answer = (request: string): { answer: AppendLog; abandon(): void } => {
    const { max_tokens = 1 } = parseRequest(request).generate
    const log = new AppendLog(64 * 1024 * 1024)
    const say = (event: SaidEvent) => log.append(`${JSON.stringify(event)}\n`)
    let given = 0
    let over = false
    const begun = performance.now()
    active++
    const end = () => {
      if (over) return
      over = true
      active--
      say({ event: 'end', reason: 'length', prompt_tokens: 2, completion_tokens: given })
      log.end()
    }
    const more = (now: number) => {
      if (over) return true
      const due = Math.min(max_tokens, 1 + Math.floor(((now - begun) * o.rate) / 1000))
      while (given < due) say({ event: 'token', text: ` ${given}:word`, ids: [given++] })
      if (given >= max_tokens) end()
      return over
    }
    say({ event: 'queued', task: '1', position: 0 })
    say({ event: 'start', worker: name, model: 'echo', ttft_ms: 0, prompt_tokens: 2, reused_tokens: 0 })
    if (!more(begun)) run(more)
    return { answer: log, abandon: end }
  }

  const status = () =>
    `${statusFile.line('server', {
      name,
      kind: 'worker',
      id: o.id,
      boot: o.id.slice(0, 8),
      version: o.version,
      host: 'farm',
      class: 'peer',
      state: active > 0 ? 'busy' : 'idle',
      slots: o.slots,
      active,
      queue: 0,
      util: active / o.slots,
      tok_s: active * o.rate,
      latency_ms: 1,
      mem_total: 16 * 2 ** 30,
      mem_free: 8 * 2 ** 30,
      cpu: 'avx2',
      gpu: 'none',
      gpu_mem: 0,
      uptime_s: Math.floor((performance.now() - began) / 1000),
    })}\n${statusFile.line('model', { name: 'echo', type: 'text', size: 0, loaded: true, digest: 'echo:1' })}\n`

  return dir(
    new Map([
      ['status', text(status, { owner })],
      ['generate', exchange({ owner, limit: 1024 * 1024, submit: answer, refused() {}, newest: () => undefined })],
      [
        'ctl',
        ctl({
          owner,
          verbs: {
            name: word1('NAME', String, given => {
              name = given
            }),
          },
          read: () => '',
        }),
      ],
    ]),
    owner,
  )
}
