/** Tests the trial of model files in a process of their own. */
import { spawn } from 'node:child_process'
import { readdir, readFile, utimes, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { type Trials, tryOut } from '../../ctl/server/trial.js'

const whole = await readFile('models/llambo-tiny.gguf')
const never = new AbortController().signal

/** Makes a changed copy of the bundled model. @returns its path */
async function model(t: Test, change: (bytes: Buffer) => unknown): Promise<string> {
  const bytes = Buffer.from(whole)
  change(bytes)
  const path = join(t.testdir({}), 'changed.gguf')
  await writeFile(path, bytes)
  return path
}

/** A trial whose process runs `code`, and that counts how often the process is started. */
function fake(t: Test, code: string) {
  const dir = t.testdir({
    'm.gguf': 'x',
    'process.mjs': `import fs from 'node:fs'; fs.appendFileSync(new URL('./starts', import.meta.url), '.')
      const tell = line => console.log(JSON.stringify(line)); setTimeout(() => {}, 60_000); process.stdin.on('end', () => process.exit(1)).resume(); ${code}`,
  })
  const starts = async () => (await readFile(join(dir, 'starts'), 'utf8')).length
  const trials: Trials = { dir: join(dir, 'tried'), env: process.env, program: join(dir, 'process.mjs') }
  const path = join(dir, 'm.gguf')
  const run = (signal = never) => tryOut(trials, { path, gpu: false, kvType: 'f16' }, signal, () => undefined)
  return { run, starts, path, trials }
}

t.test('a file that crashes llama.cpp fails with its last line, and is not tried again until it changes', async t => {
  // with NaN as the epsilon of the norm the file loads, and the first prompt crashes the process
  const path = await model(t, bytes => {
    const key = 'llama.attention.layer_norm_rms_epsilon'
    bytes.writeFloatLE(Number.NaN, bytes.indexOf(key) + key.length + 4)
  })
  const dir = join(dirname(path), 'tried')
  const run = (env = process.env) =>
    tryOut({ dir, env }, { path, gpu: false, kvType: 'f16', threads: 1 }, never, () => undefined)
  const message =
    /^model file is damaged: changed crashes llama.cpp: ops\.cpp:\d+: GGML_ASSERT\(eps >= 0\.0f\) failed; touch/
  await t.rejects(run(), { message, errno: 74 })
  // with this environment a process cannot start
  await t.rejects(run({ PATH: '/nowhere', NODE_OPTIONS: '--no-such-option' }), { message }, 'the result is remembered')
})

t.test('a good file is tried once', async t => {
  const { run, starts, path, trials } = fake(t, 'tell({ ok: true }); process.exit(0)')
  await run()
  await run()
  t.equal(await starts(), 1)
  t.equal((await readdir(trials.dir)).length, 1)
  await utimes(path, 1, 1)
  await run()
  t.equal(await starts(), 2, 'a changed file is tried again')
})

t.test('a failure that is not the fault of the file is not remembered', async t => {
  const killed = fake(t, `process.kill(process.pid, 'SIGKILL')`)
  await t.rejects(killed.run(), { message: /^not enough memory for m: / })
  await t.rejects(killed.run(), { message: /^not enough memory for m: / })
  t.equal(await killed.starts(), 2, 'the file is tried again, because there may be enough memory then')
  const refused = fake(
    t,
    `tell({ message: 'not enough memory for m: needs 2 MiB has 1 MiB', errno: 12 }); process.exit(0)`,
  )
  await t.rejects(refused.run(), { message: 'not enough memory for m: needs 2 MiB has 1 MiB', errno: 12 })
  t.strictSame(await readdir(refused.trials.dir).catch(() => []), [])
  const broken = fake(t, `console.error('no such module'); process.exit(3)`)
  await t.rejects(broken.run(), {
    message: 'i/o error: m: the process that test-loaded it ended with code 3: no such module',
  })
})

t.test('an abort ends the process', async t => {
  const { run, trials } = fake(t, 'tell({ progress: 0.1 })')
  const stop = new AbortController()
  const running = run(stop.signal)
  setTimeout(() => stop.abort(new Error('enough')), 200)
  await t.rejects(running, { message: 'enough' })
  t.strictSame(await readdir(trials.dir).catch(() => []), [])
})

t.test('workers that find a new file at the same time try it once, and each gets the result', async t => {
  const good = fake(
    t,
    'console.log("a line of a library"); setTimeout(() => { tell({ ok: true }); process.exit(0) }, 400)',
  )
  await Promise.all(Array.from({ length: 6 }, () => good.run()))
  t.equal(await good.starts(), 1)
  t.equal((await readdir(good.trials.dir)).length, 1, 'only the result is left')

  const bad = fake(t, `setTimeout(() => { console.error('GGML_ASSERT(x) failed'); process.abort() }, 300)`)
  const ended = await Promise.allSettled(Array.from({ length: 4 }, () => bad.run()))
  t.ok(ended.every(({ status, ...of }) => status === 'rejected' && /GGML_ASSERT/.test(String((of as any).reason))))
  t.equal(await bad.starts(), 1)
})

t.test(
  'a worker that waits for a trial can be interrupted, and tries the file itself where the trying process is killed',
  async t => {
    const { run, starts, trials, path } = fake(t, 'if (starts() > 1) { tell({ ok: true }); process.exit(0) }')
    const program = trials.program!
    await writeFile(
      program,
      (await readFile(program, 'utf8')).replace(
        'const tell',
        `const starts = () => fs.readFileSync(new URL('./starts', import.meta.url), 'utf8').length; const tell`,
      ),
    )
    const first = spawn(
      process.execPath,
      [
        '--input-type=module',
        '-e',
        `import { tryOut } from ${JSON.stringify(new URL('../../ctl/server/trial.js', import.meta.url).href)}
       await tryOut({ ...${JSON.stringify({ dir: trials.dir, program })}, env: process.env },
         { path: ${JSON.stringify(path)}, gpu: false, kvType: 'f16' }, new AbortController().signal, () => {})`,
      ],
      { stdio: 'ignore' },
    )
    t.teardown(() => first.kill('SIGKILL'))
    while ((await starts().catch(() => 0)) === 0) await sleep(20)
    const stop = new AbortController()
    const waiting = run(stop.signal)
    setTimeout(() => stop.abort(new Error('enough')), 100)
    await t.rejects(waiting, { message: 'enough' })
    t.equal(await starts(), 1)
    const next = run()
    first.kill('SIGKILL')
    await next
    t.equal(await starts(), 2)
  },
)

t.test('a damaged result does not cause a file to be refused', async t => {
  const { run, starts, trials } = fake(t, 'tell({ ok: true }); process.exit(0)')
  await run()
  const [name] = await readdir(trials.dir)
  const result = join(trials.dir, name!)
  for (const [i, damage] of [Buffer.alloc(3), Buffer.alloc(1 << 20, 'a'), Buffer.alloc(0)].entries()) {
    await writeFile(result, damage)
    await run()
    t.equal(await starts(), i + 2, 'the file is tried again')
  }
  t.strictSame(await readdir(trials.dir), [name])
})
