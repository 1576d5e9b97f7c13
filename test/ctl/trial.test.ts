import { readdir, readFile, utimes, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import t, { type Test } from 'tap'
import { type Trials, tryOut } from '../../ctl/server/trial.js'

const whole = await readFile('models/llambo-tiny.gguf')
const never = new AbortController().signal

/** A changed copy of the bundled model. */
async function model(t: Test, change: (bytes: Buffer) => unknown): Promise<string> {
  const bytes = Buffer.from(whole)
  change(bytes)
  const path = join(t.testdir({}), 'changed.gguf')
  await writeFile(path, bytes)
  return path
}

/** A process that does as the code says, and how often it was started. */
function fake(t: Test, code: string) {
  const dir = t.testdir({
    'm.gguf': 'x',
    'process.mjs': `import fs from 'node:fs'; fs.appendFileSync(new URL('./starts', import.meta.url), '.')
      const tell = line => console.log(JSON.stringify(line)); setTimeout(() => {}, 60_000); ${code}`,
  })
  const starts = async () => (await readFile(join(dir, 'starts'), 'utf8')).length
  const trials: Trials = { dir: join(dir, 'tried'), env: process.env, program: join(dir, 'process.mjs') }
  const path = join(dir, 'm.gguf')
  const run = (signal = never) => tryOut(trials, { path, gpu: false, kvType: 'f16' }, signal, () => undefined)
  return { run, starts, path, trials }
}

t.test('a file that ends llama.cpp fails with its last line, and is not tried again until it changes', async t => {
  // NaN as the epsilon of the norm: it loads, and the first prompt ends the process
  const path = await model(t, bytes => {
    const key = 'llama.attention.layer_norm_rms_epsilon'
    bytes.writeFloatLE(Number.NaN, bytes.indexOf(key) + key.length + 4)
  })
  const dir = join(dirname(path), 'tried')
  const run = (env = process.env) =>
    tryOut({ dir, env }, { path, gpu: false, kvType: 'f16', threads: 1 }, never, () => undefined)
  const message =
    /^model file is damaged: changed ends llama.cpp: ops\.cpp:\d+: GGML_ASSERT\(eps >= 0\.0f\) failed; touch/
  await t.rejects(run(), { message, errno: 74 })
  // without an environment no process can be started
  await t.rejects(run({ PATH: '/nowhere', NODE_OPTIONS: '--no-such-option' }), { message }, 'remembered')
})

t.test('a good file passes once', async t => {
  const { run, starts, path, trials } = fake(t, 'tell({ ok: true }); process.exit(0)')
  await run()
  await run()
  t.equal(await starts(), 1)
  t.equal((await readdir(trials.dir)).length, 1)
  await utimes(path, 1, 1)
  await run()
  t.equal(await starts(), 2, 'it has changed')
})

t.test('what says nothing about the file is not remembered', async t => {
  const killed = fake(t, `process.kill(process.pid, 'SIGKILL')`)
  await t.rejects(killed.run(), { message: /^not enough memory for m: / })
  await t.rejects(killed.run(), { message: /^not enough memory for m: / })
  t.equal(await killed.starts(), 2, 'memory may be there the next time')
  const refused = fake(
    t,
    `tell({ message: 'not enough memory for m: needs 2 MiB has 1 MiB', errno: 12 }); process.exit(0)`,
  )
  await t.rejects(refused.run(), { message: 'not enough memory for m: needs 2 MiB has 1 MiB', errno: 12 })
  t.strictSame(await readdir(refused.trials.dir).catch(() => []), [])
  const broken = fake(t, `console.error('no such module'); process.exit(3)`)
  await t.rejects(broken.run(), {
    message: 'i/o error: m: the process that tried it out ended by code 3: no such module',
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
