/** Tests what commands have in common: paths, exit codes, output, suggestions and the summary of status. */
import { spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { PassThrough } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { fail } from '../../api/errors.js'
import { colors } from '../../cli/color.js'
import { codeOf, exitCode, explain, usage } from '../../cli/exit.js'
import { names, shown } from '../../cli/ns-path.js'
import { bytes, table, write } from '../../cli/output.js'
import { bornAt, isAlive } from '../../cli/serverfile.js'
import { didYouMean } from '../../cli/suggest.js'
import { summary } from '../../cli/summary.js'
import { modelUri } from '../../ctl/command/pull.js'
import { isWithin } from '../../fs/base/path.js'

t.test('a path means the same file however it is written', async t => {
  const mounts = ['/n/llambo', '/home/glenda/n/llambo']
  for (const path of [
    '/n/llambo/models/a',
    '/models/a',
    'models/a',
    './models//a',
    '/home/glenda/n/llambo/x/../models/a',
  ]) {
    t.same(names(path, mounts), ['models', 'a'], path)
  }
  t.same(names('/n/llambo', mounts), [])
  t.same(names('/../..', mounts), [])
  t.same(names('/n/llambo2/a', mounts), ['n', 'llambo2', 'a'])
  t.equal(shown(['models', 'a']), '/n/llambo/models/a')
  t.notOk(isWithin('/n/llambox', '/n/llambo'))
})

t.test('failures have the exit codes that scripts rely on', async t => {
  t.equal(codeOf(usage('x')), exitCode.usage)
  t.equal(codeOf(fail('authRequired')), exitCode.auth)
  t.equal(codeOf(fail('waited', 30)), exitCode.timeout)
  t.equal(codeOf(fail('hungUp')), exitCode.unreachable)
  t.equal(codeOf(fail('notFound')), exitCode.failed)
  t.equal(codeOf(new Error('x')), exitCode.failed)
})

t.test('an error is printed on one line', async t => {
  t.equal(explain(new Error('a\n  b')), 'a b')
  t.equal(explain(new Error('\x1b]0;x\x07')), '␛]0;x␇', 'text of a server cannot control a terminal')
  t.equal(explain(fail('io', undefined, new Error('disk on fire'))), 'i/o error (disk on fire)')
})

t.test('only terminals get colours, unless NO_COLOR or a flag says otherwise', async t => {
  const red = (stream: object, choice: 'auto' | 'always' | 'never', env: NodeJS.ProcessEnv) =>
    colors(stream, choice, env).red('x') !== 'x'
  t.ok(red({ isTTY: true }, 'auto', {}))
  t.notOk(red({ isTTY: true }, 'auto', { NO_COLOR: '1' }))
  t.ok(red({ isTTY: true }, 'auto', { NO_COLOR: '' }), 'an empty variable counts as unset')
  t.notOk(red({ isTTY: true }, 'auto', { TERM: 'dumb' }))
  t.notOk(red({}, 'auto', {}))
  t.notOk(red({ isTTY: true }, 'never', {}))
  t.ok(red({}, 'always', { NO_COLOR: '1' }))
})

t.test('a table is aligned with a header on a terminal and tab-separated without one in a pipe', async t => {
  const rows = [
    ['a', '10'],
    ['bcd', '9'],
  ]
  t.equal(table(['name', 'n'], rows, true), 'name   n\na     10\nbcd    9\n')
  t.equal(table(['name', 'n'], rows, false), 'a\t10\nbcd\t9\n')
})

t.test('bytes are printed as a person would write them', async t => {
  t.equal(bytes(0), '0 B')
  t.equal(bytes(999), '999 B')
  t.equal(bytes(2_840_000), '2.8 MB')
  t.equal(bytes(999_700), '1.0 MB')
  t.equal(bytes(181e6), '181 MB')
})

t.test('only a similar word is suggested', async t => {
  const known = ['slots', 'model', 'engine.kind']
  t.equal(didYouMean('slot', known), ' (did you mean slots?)')
  t.equal(didYouMean('engine.knd', known), ' (did you mean engine.kind?)')
  t.equal(didYouMean('zebra', known), '')
})

t.test('a write waits for a slow reader and fails if the reader goes', async t => {
  const slow = new PassThrough({ highWaterMark: 4 })
  let done = false
  const writing = write(slow, 'longer than four').then(() => {
    done = true
  })
  await new Promise(resolve => setImmediate(resolve))
  t.notOk(done)
  slow.resume()
  await writing
  const gone = new PassThrough({ highWaterMark: 4 })
  const lost = write(gone, 'longer than four')
  gone.destroy(new Error('EPIPE'))
  await t.rejects(lost, { message: 'EPIPE' })
})

t.test('pull understands the names that people copy', async t => {
  t.equal(modelUri('hf:user/model-GGUF:Q4_K_M'), 'hf:user/model-GGUF:Q4_K_M')
  t.equal(modelUri('user/model-GGUF:Q4_K_M'), 'hf:user/model-GGUF:Q4_K_M')
  t.equal(modelUri('user/model/file.gguf#main'), 'hf:user/model/file.gguf#main')
  t.equal(modelUri('https://example.com/a.gguf'), 'https://example.com/a.gguf')
  t.equal(modelUri('http://127.0.0.1:1/a.gguf'), 'http://127.0.0.1:1/a.gguf')
  for (const bad of ['llama', 'http://example.com/a.gguf', 'file:///etc/passwd', '../../x:y', '']) {
    t.throws(() => modelUri(bad), { code: exitCode.usage }, bad)
  }
})

t.test('a zombie process is not alive', async t => {
  if (!existsSync('/proc/self/stat')) return t.pass('skipped: there is no /proc here')
  const parent = spawn('sh', ['-c', 'sleep 100 & echo $!; exec sleep 100'], { stdio: ['ignore', 'pipe', 'ignore'] })
  const pid = Number((await parent.stdout.take(1).toArray())[0])
  const one = { pid, born: bornAt(pid) }
  t.ok(isAlive(one))
  process.kill(pid, 'SIGKILL')
  while (!/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))) await sleep(5)
  t.notOk(isAlive(one))
  t.notOk(isAlive({ pid, born: undefined }))
  parent.kill('SIGKILL')
})

t.test('the summary of status is a line for the server, then tables of workers and models', async t => {
  const worker = (n: number, more: string) =>
    `worker name=worker-000${n} host=alpha ${more} class=tiny model=llambo-tiny slots=4 queue=0 tok_s=0\n`
  const text =
    'server name=alpha kind=cluster state=idle slots=8 active=3 queue=2 util=0.375 tok_s=12.4 latency_ms=45 uptime_s=185 workers=2\n' +
    'model name=llambo-tiny type=text size=2840000 context=1024 loaded=yes workers=2\n' +
    `model name=old type=text size=7000000000 loaded=no problem='model file is damaged: magic'\n` +
    worker(2, 'state=busy active=3') +
    worker(1, 'state=idle active=0')
  t.equal(
    summary(text),
    `cluster alpha: 2 workers, idle, 38 % of 8 slots in use, 12 tok/s, 45 ms latency, 2 queued, up 3 min 5 s

worker       state  in use  tok/s  class  model        host
worker-0001  idle   0/4         0  tiny   llambo-tiny  alpha
worker-0002  busy   3/4         0  tiny   llambo-tiny  alpha

model        type    size  context  loaded
llambo-tiny  text  2.8 MB     1024  yes
old          text  7.0 GB           no: model file is damaged: magic
`,
  )
  const many = `${text}${worker(3, 'state=idle active=0').repeat(30)}`
  t.match(summary(many), /\n… and 12 more; llamboctl top and the file status show all\n/)
  const loading = 'server name=w kind=worker state=loading slots=4 loading=big progress=0.42 uptime_s=1\n'
  t.match(summary(loading), /^worker w: loading big \(42 %\), 0 % of 4 slots in use, up 1 s$/m)
  const failed = `server name=w kind=worker state=failed slots=4 error='not enough memory for big' uptime_s=1\n`
  t.match(summary(failed), /, up 1 s\nnot enough memory for big\n$/)
})
