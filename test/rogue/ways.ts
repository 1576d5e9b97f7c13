/**
 * What a joiner with a token and bad intent does. Each way resolves when it is done, and leaves it to the cluster to
 * handle.
 */

import { exchange } from '../../cluster/root/exchange.js'
import { newSecret } from '../../cluster/secret.js'
import { record } from '../../fs/base/quote.js'
import type { File } from '../../fs/file.js'
import { AppendLog } from '../../fs/kit/append-log.js'
import { text } from '../../fs/kit/content.js'
import { dir } from '../../fs/kit/dir.js'
import type { Transport } from '../../fs/transport.js'
import { events, until } from '../cluster/orchestrator/fixture.js'
import { type Rogue, rogueFiles } from '../cluster/orchestrator/rogue.js'
import type { Stage } from './stage.js'

const owner = { name: 'root', uid: 0 }
const encoder = new TextEncoder()
let made = 0
const id = () => `rogue-${++made}`

/** The files of a rogue with the cluster's version, under a new id unless one is given. */
const rogue = ({ cluster }: Stage, { attrs, ...rest }: Partial<Rogue>) =>
  rogueFiles({ id: id(), ...rest, attrs: { version: cluster.version, ...attrs } })

/** Joins with a status that must be refused, and waits until the cluster disconnects. */
async function refused(stage: Stage, attrs: Record<string, string>, after = ''): Promise<void> {
  const session = await stage.join(rogue(stage, { attrs, after }), { secret: newSecret() })
  await session.closed
}

/** A file without end: each read returns as much as is requested. */
function endless(of: string): File {
  const file = text(() => '', { owner })
  const piece = encoder.encode(of.repeat(Math.ceil(65_536 / of.length)))
  return {
    ...file,
    attributes: ctx => file.attributes(ctx),
    open: () => ({ read: (_, count) => piece.subarray(0, count) }),
  }
}

/** Joins as a host with that file as its stream of events, and waits until the cluster disconnects it. */
async function putOut(stage: Stage, event: File): Promise<void> {
  const files = new Map([['event', event]])
  const attrs = { kind: 'host', name: `rogue-${++made}` }
  const session = await stage.join(rogue(stage, { attrs, files }), { secret: newSecret() })
  await session.closed
}

/** Joins as a worker with a model that answers every `generate` with that text. */
async function answering(stage: Stage, says: string): Promise<void> {
  const begin = () => {
    const answer = new AppendLog()
    answer.append(says)
    answer.end()
    return { answer, abandon: () => undefined }
  }
  const submit = exchange({ owner, limit: 1 << 20, submit: begin, refused: () => undefined, newest: () => undefined })
  const after = `${record('model', { name: 'echo', type: 'text', size: 1, loaded: true, digest: 'echo:echo' })}\n`
  const before = (await events(stage.cluster, 'probe-failed')).length
  const root = rogue(stage, { after, files: new Map([['generate', submit]]) })
  const session = await stage.join(root, { secret: newSecret() })
  await until(async () => (await events(stage.cluster, 'probe-failed')).length > before)
  session.close()
}

/** Waits until the cluster has a worker with that id. */
const joined = (stage: Stage, own: string): Promise<void> =>
  until(async () => (await stage.cluster.status()).some(({ word, attrs }) => word === 'worker' && attrs.id === own))

/** Resolves when the other end has disconnected. */
const gone = (transport: Transport): Promise<unknown> =>
  new Promise(resolve => {
    transport.ondata = () => undefined
    transport.onclose = resolve
  })

const long = (n: number, of = 'x') => of.repeat(n)
const harm = '\u001b]0;owned\u0007'

export const ways: Readonly<Record<string, (stage: Stage) => Promise<void>>> = {
  'names with /, blanks, escapes, line breaks, and none': async stage => {
    const bad = ['a/b', "''", "' '", "'a b'", "'a\nb'", `'${harm}'`, '..', long(70)]
    for (const name of bad) {
      await refused(stage, { name })
      await refused(stage, { name, kind: 'host' })
    }
    for (const key of ['host', 'class', 'version', 'state', 'id', 'boot']) await refused(stage, { [key]: `'${harm}'` })
    await refused(stage, { host: 'a/b', class: 'a/b' })
  },
  'numbers that cannot be': async stage => {
    for (const n of ['1e308', '-1', '0x10', 'NaN', long(400, '9')]) await refused(stage, { slots: n })
  },
  'a name of 30 MB': stage => refused(stage, { name: long(30_000_000) }),
  'a status of 64 MB, and one without end': async stage => {
    await refused(stage, {}, `model name=${long(1000)} size=1\n`.repeat(64_000))
    const root = dir(new Map([['status', endless('server name=x kind=cluster id=a x=')]]), owner)
    const session = await stage.join(root)
    await session.closed
  },
  'ten thousand models, and some with harmful names': async stage => {
    await refused(stage, {}, 'model name=m size=1\n'.repeat(10_000))
    const after = `model name='${harm}' size=1 loaded=yes\nmodel name='..' size=1\nmodel name=a\u202eb size=1\n`
    const session = await stage.join(rogue(stage, { after }), { secret: newSecret() })
    await until(async () => (await events(stage.cluster, 'worker-joined')).length > 1)
    session.close()
  },
  'a line of events without end': stage => putOut(stage, endless('x')),
  'events that once kept a regular expression busy for a minute': stage =>
    putOut(stage, endless(' kind=worker-exited boot=')),
  "events that go backwards and report the ends of others' workers": async stage => {
    const { boot } = (await stage.cluster.status()).find(({ word }) => word === 'worker')!.attrs
    const lines = [9, 1, 5].map(seq => record('', { seq, kind: 'worker-exited', boot, signal: 'SIGSEGV' })).join('\n')
    await putOut(
      stage,
      text(() => `${lines}\n${lines}\n`, { owner }),
    )
  },
  'exchanges that it was never given': async stage => {
    const before = (await events(stage.cluster, 'orphan-refused')).length
    const cluster = stage.cluster.id
    const session = '0'
    const orphan = { cluster, attempt: 1, user: 'root', uid: 0, session, proof: long(64, '0') }
    const after = ['0', '1', '99999'].map((task, i) => record('orphan', { id: i, task, ...orphan })).join('\n')
    const odd = `\norphan id=1 cluster=${cluster} task=a/b attempt=1 user='${harm}' uid=0\n`
    const joined = await stage.join(rogue(stage, { after: after + odd }), { secret: newSecret() })
    await until(async () => (await events(stage.cluster, 'orphan-refused')).length > before)
    joined.close()
  },
  "a worker's place, by its id and boot": async stage => {
    const { id = '', boot = '' } = (await stage.cluster.status()).find(({ word }) => word === 'worker')!.attrs
    for (const secret of [undefined, newSecret()]) {
      const session = await stage.join(rogue(stage, { id, attrs: { boot } }), secret === undefined ? {} : { secret })
      await session.closed
    }
  },
  'invalid answers': async stage => {
    await answering(stage, 'this is no JSON\n')
    await answering(stage, `{"event":"token","text":"${long(100)}","ids":["1e999"]}\n`)
    await answering(stage, `{"event":"tool","calls":${long(100_000, '[')}\n`)
  },
  'harmful names of files': async stage => {
    const harmful = new Map<string, File>([harm, 'a\nb', 'a\u009bb'].map(name => [name, text(() => 'x', { owner })]))
    const before = (await events(stage.cluster, 'worker-joined')).length
    const session = await stage.join(rogue(stage, { files: harmful }), { secret: newSecret() })
    const root = await stage.cluster.as('root')
    let name = ''
    await until(async () => {
      const joined = await events(stage.cluster, 'worker-joined')
      name = joined.at(-1)?.worker ?? ''
      return joined.length > before
    })
    const listed = await (await root.open(name, 0)).list()
    if (listed.some(({ name }) => /\p{Cc}/u.test(name))) throw new Error(`${name} lists ${JSON.stringify(listed)}`)
    session.close()
  },
  'silence, and a byte a second': async stage => {
    const address = stage.address()
    const silent = Array.from({ length: 40 }, async () => gone(await stage.dial(address)))
    const slow = await stage.dial()
    const cut = gone(slow)
    // the beginning of an 8,192-byte reply to the Tversion
    const sending = setInterval(() => slow.send([[Uint8Array.of(0)]]), 1000)
    slow.send([[Uint8Array.of(0, 32, 0, 0, 101)]])
    try {
      await Promise.all([...silent, cut])
    } finally {
      clearInterval(sending)
    }
  },
  'one id many times': async stage => {
    const [own, secret] = [id(), newSecret()]
    const first = await stage.join(rogueFiles({ id: own, attrs: { boot: 'first' } }), { secret })
    await joined(stage, own)
    // with the secret and without it, some of them simultaneously
    const others = Array.from({ length: 20 }, async (_, i) => {
      const files = rogueFiles({ id: own, attrs: { boot: `boot-${i}` } })
      return (await stage.join(files, { secret: i % 2 ? secret : newSecret() })).closed
    })
    await Promise.all(others)
    const all = (await stage.cluster.status()).filter(({ word, attrs }) => word === 'worker' && attrs.id === own)
    if (all.length !== 1 || all[0]!.attrs.boot !== 'first') throw new Error(`${all.length} workers of one id`)
    first.close()
    await until(async () => (await stage.cluster.status()).every(({ attrs }) => attrs.id !== own))
  },
  'answers for future exchanges': async stage => {
    const ann = await stage.cluster.as('ann')
    await ann.ask('data', 'bread')
    const last = Math.max(...(await ann.names('task')).map(Number))
    const { id: cluster } = stage.cluster
    const orphan = { cluster, attempt: 1, user: 'ann', uid: 1000, proof: long(64, 'a') }
    const after = Array.from({ length: 2000 }, (_, i) => record('orphan', { id: i, task: last + i, ...orphan })).join(
      '\n',
    )
    const forged = JSON.stringify({ messages: [{ role: 'user', content: 'forged' }] })
    const own = id()
    const session = await stage.join(rogueFiles({ id: own, after, task: () => forged }), { secret: newSecret() })
    await joined(stage, own)
    for (let i = 0; i < 5; i++) {
      const answer = await ann.ask('data', `right ${i}`)
      if (answer !== `0:right 1:${i}\n`) throw new Error(`an answer is ${JSON.stringify(answer)}`)
    }
    session.close()
  },
  'a host with thousands of workers': async stage => {
    const workers = (n: number, hold = '') =>
      Array.from({ length: n }, (_, i) => record('worker', { id: `w-${i}`, state: 'running', hold })).join('\n')
    const host = () => ({ kind: 'host', name: `rogue-${++made}` })
    await refused(stage, host(), workers(5000))
    await refused(stage, host(), workers(900, long(4096)))
    await refused(stage, host(), 'class name=c\n'.repeat(5000))
    // as many as a host may have, with the end of each of them and of thousands more
    const lines = Array.from({ length: 5000 }, (_, i) =>
      record('', { seq: i, kind: 'worker-exited', boot: `boot-${i}`, signal: 'SIGSEGV', error: long(500) }),
    )
    const event = text(() => `${lines.join('\n')}\n`, { owner })
    const files = new Map([['event', event]])
    const attrs = host()
    const root = rogueFiles({ id: id(), attrs, after: workers(1000), files })
    await (await stage.join(root, { secret: newSecret() })).closed
    const hosts = await events(stage.cluster, 'host-joined')
    if (!hosts.some(({ host }) => host === attrs.name)) throw new Error('it was not let in')
    if ((await events(stage.cluster, 'worker-ended')).length > 0) throw new Error('it was believed')
  },
  'a storm of connections': async stage => {
    const address = stage.address()
    await stage.join(rogue(stage, { attrs: { name: 'a/b' } }), { address })
    const lines = () => stage.cluster.log().split('\n').length
    const said = lines()
    for (let i = 0; i < 200; i++) await (await stage.join(rogue(stage, { attrs: { name: 'a/b' } }), { address })).closed
    if (lines() - said > 30) throw new Error(`${lines() - said} lines were logged of it`)
  },
}
