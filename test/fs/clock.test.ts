/** Time limits fire even if only a combined signal refers to them. */
import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import t from 'tap'

const root = fileURLToPath(new URL('../../../', import.meta.url))

t.test('a time limit fires even if its signal could have been garbage-collected', async t => {
  const source = `
    import { timeLimit } from ${JSON.stringify(new URL('../../fs/base/clock.js', import.meta.url).href)}
    const other = new AbortController()
    const signal = () => AbortSignal.any([other.signal, timeLimit(200)])
    const come = new Promise(resolve => signal().addEventListener('abort', () => resolve('it comes'), { once: true }))
    setTimeout(() => gc(), 50)
    const never = new Promise(resolve => setTimeout(() => resolve('it never comes'), 10_000))
    console.log(await Promise.race([come, never]))
    process.exit()`
  const { stdout, stderr } = spawnSync(process.execPath, ['--expose-gc', '--input-type=module', '-e', source], {
    encoding: 'utf8',
  })
  t.equal(stdout, 'it comes\n', stderr)
})

t.test('no source uses AbortSignal.timeout, which Node 20 collects within AbortSignal.any', async t => {
  for (const folder of ['fs', 'api', 'mnt', 'cluster', 'ctl', 'limbot', 'dish'])
    for (const file of readdirSync(`${root}${folder}`, { recursive: true, encoding: 'utf8' }))
      if (file.endsWith('.ts'))
        t.notMatch(readFileSync(`${root}${folder}/${file}`, 'utf8'), /AbortSignal\.timeout\(/, `${folder}/${file}`)
})
