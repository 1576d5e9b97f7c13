/** A short run of the simulation in `npm test`, and what makes its runs repeatable. */
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import t from 'tap'

/** Runs what `npm run test:sim` runs, in separate processes, which let nothing in but the seed. */
function simulate(...args: string[]) {
  const main = fileURLToPath(new URL('./main.js', import.meta.url))
  return spawnSync(process.execPath, [main, ...args], { encoding: 'utf8', maxBuffer: 1e9 })
}

t.test('in 500 clusters of 3 to 12 workers, with faults, no answer is wrong, doubled or lost', async t => {
  // fewer seeds on a machine that is busy
  const { status, stdout, stderr } = simulate('--seeds', '500', '--within', '80')
  const [, seeds = 0, wrong] = /^(\d+) seeds, (\d+) wrong/m.exec(stdout) ?? []
  t.equal(wrong, '0', stdout + stderr)
  t.equal(status, 0)
  t.ok(Number(seeds) >= 20, stdout)
  t.comment(stdout)
})

t.test('the same seed is the same run, to the last event', async t => {
  const { stdout, stderr } = simulate('--seeds', '12', '--twice', '--within', '30')
  t.match(stdout, /^[1-9]\d* seeds, 0 wrong/m, stdout + stderr)
})

t.test('a run that asks the machine for time or chance fails', async t => {
  const source = `
    const { guard } = await import(${JSON.stringify(new URL('./guard.js', import.meta.url).href)})
    const { Timeline } = await import(${JSON.stringify(new URL('./clock.js', import.meta.url).href)})
    const begins = guard()
    for (const use of [() => setTimeout(() => {}), () => Math.random(), () => performance.now(), () => Promise.reject(new Error('lost'))]) {
      const time = new Timeline()
      begins(time, () => 0)
      time.at(1, () => void use())
      await time.run(10).then(() => console.log('nothing'), error => console.log(error.message))
    }`
  const { stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', source], { encoding: 'utf8' })
  t.same(stdout.trim().split('\n'), [
    'the product called setTimeout',
    'the product called Math.random',
    'the product called performance.now',
    'lost',
  ])
})
