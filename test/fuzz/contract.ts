/** Fuzzes the readers of api/: what peers, servers and files say. */

import { AnswerReader } from '../../api/answer.js'
import { parseEmbedded, parseEmbedRequest } from '../../api/embed.js'
import { FsError } from '../../api/errors.js'
import { parseEvent } from '../../api/events.js'
import { parseExit } from '../../api/exit.js'
import { Unfit } from '../../api/field.js'
import { parseHead, parseMessage } from '../../api/limbot.js'
import { metricOf } from '../../api/metrics.js'
import { rows } from '../../api/record-file.js'
import { parseReport } from '../../api/report.js'
import { parseRequest, requestJson } from '../../api/request.js'
import { parseSession } from '../../api/session.js'
import { hostStatus, status } from '../../api/status.js'
import { sessionNumber, sessionStatus, taskStatus } from '../../api/task.js'
import { parseTrialSpec, parseTrialWord, parseWorkerSpec } from '../../api/worker.js'
import { shown } from './request.js'
import { fault, type Target } from './target.js'

/** Reads what a reader gave once it is written again: it must be the same, except for what a record shows as U+FFFD. */
function again<T>(what: string, first: T, write: (value: T) => string, read: (text: string) => T): void {
  const text = write(first)
  const wanted = JSON.stringify(first, (_, value) => (typeof value === 'string' ? shown(value) : value))
  if (JSON.stringify(read(text)) !== wanted) fault(`${what} reads back as something else: ${text}`)
}

const readers: readonly ((text: string, bytes: Uint8Array) => unknown)[] = [
  text => parseReport(text),
  text => {
    const { server, model, worker, orphan } = status.read(text)
    const lines = (sheet: typeof server) => status.line('server', { ...sheet, clusters: sheet.clusters.join(',') })
    again('a server record', server, lines, text => status.read(text).server)
    for (const one of model)
      again(
        'a model',
        one,
        one => `server\n${status.line('model', one)}`,
        text => status.read(text).model[0]!,
      )
    for (const one of worker)
      again(
        'a worker',
        one,
        one => `server\n${status.line('worker', one)}`,
        text => status.read(text).worker[0]!,
      )
    for (const one of orphan)
      again(
        'an orphan',
        one,
        one => `server\n${status.line('orphan', one)}`,
        text => status.read(text).orphan[0]!,
      )
  },
  text => hostStatus.read(text),
  text =>
    again(
      'a task',
      taskStatus.read(text).task,
      one => taskStatus.line('task', one),
      text => taskStatus.read(text).task,
    ),
  text => sessionStatus.read(text),
  text => rows(text, 'status'),
  text => text.split('\n').map(parseEvent),
  text => text.split('\n').map(parseExit),
  text => metricOf(text, 'llambo_slots'),
  (_, bytes) => [...new AnswerReader('server').take(bytes)],
  (_, bytes) => [...new AnswerReader('member').take(bytes)],
  text => parseEmbedded(text),
  text => parseEmbedRequest(text),
  text => {
    const request = parseRequest(text)
    const written = requestJson(request, {})
    if (requestJson(parseRequest(written), {}) !== written) fault(`a request reads back as something else: ${written}`)
  },
  text => parseSession(text),
  text => [parseHead(text), parseMessage(text)],
  text => [parseTrialWord(text), sessionNumber(text)],
  text => parseTrialSpec(text),
  text => parseWorkerSpec(text),
]

const server = 'server name=a kind=cluster id=b boot=c version=1.0.0 host=d state=idle slots=4 active=1 clusters=x,y'
const seeds: readonly (readonly [number, string])[] = [
  [
    0,
    `${server}\nmodel name=m size=7 loaded=yes digest=sha256:ab\norphan id=1 cluster=c task=2 attempt=1 user=ann uid=1\n`,
  ],
  [
    1,
    `${server}\nworker name=worker-0001 state=idle slots=4 tok_s=1.5 ended='ended by SIGKILL: it''s full'\nmodel name='a b'\n`,
  ],
  [2, `${server.replace('cluster', 'host')}\nworker id=ab state=idle pid=7 error=x\nclass name=large memory=1e9\n`],
  [3, "task id=41 state=running user=ann worker=worker-0001 tries=1 tok_s=2.5 error='context full'\n"],
  [4, 'session id=7 user=ann state=idle messages=4 task=41 ttl_s=600\n'],
  [6, 'seq=1 time=2026-11-21T10:04:11.302Z kind=task-done task=41 user=ann\nlost=3\nkind=autoscale on=yes\n'],
  [7, "kind=worker-exited boot=b1 signal=SIGSEGV cause=crashed error='no room'\nkind=worker-exited boot=b code=2\n"],
  [8, '# TYPE llambo_slots gauge\nllambo_slots 4\n'],
  [
    9,
    '{"event":"queued","task":"1","position":0}\n{"event":"token","text":"a","ids":[1]}\n{"event":"end","reason":"stop"}\n',
  ],
  [11, '{"model":"m","embeddings":[[0.5,-1e9]]}'],
  [12, '{"input":["a","b"],"model":"m"}'],
  [13, '{"messages":[{"role":"user","content":"hi"}],"via":[{"cluster":"c","task":"1","attempt":1}],"seed":"7"}'],
  [
    14,
    '{"user":{"name":"a","uid":1,"role":"use"},"settings":{"sampling":{"top_k":1}},"ttl":5,"history":[]}\n[{"role":"user","content":""}]\n',
  ],
  [15, '{"limbot":1,"id":"x","role":"user","content":"y","stopped":true}'],
  [16, '{"progress":0.5,"loaded":true}'],
  [17, '{"path":"/m","gpu":"auto","kvType":"f16","context":512}'],
]

/** Each gives a value, or an error that names what is wrong. The first byte chooses the reader. */
export const contract: Target = {
  name: 'contract',
  words: [
    "'",
    "''",
    '\n',
    ' =',
    '=',
    'yes',
    '-1',
    '1e999',
    '0x1',
    '{"',
    '":',
    '[',
    ']',
    'null',
    '__proto__',
    'toString',
    '\u202e',
    '\u001b',
  ],
  seeds: () => seeds.map(([reader, text]) => Uint8Array.of(reader, ...new TextEncoder().encode(text))),
  run(input) {
    const bytes = input.subarray(1)
    const reader = readers[(input[0] ?? 0) % readers.length]!
    try {
      reader(new TextDecoder().decode(bytes), bytes)
    } catch (error) {
      if (!(error instanceof FsError) && !(error instanceof Unfit)) throw error
    }
  },
}
