/** Tests the lock between processes of one user. */
import { spawn } from 'node:child_process'
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { Failure } from '../../../cli/exit.js'
import { alone, claimLock } from '../../../ctl/server/once.js'

t.test('a second process waits until the first has released the lock, or is interrupted', async t => {
  const path = join(t.testdir(), 'lock')
  const done = await alone(path, new AbortController().signal)
  const stop = new AbortController()
  const interrupted = t.rejects(alone(path, stop.signal), { message: 'enough' })
  stop.abort(new Error('enough'))
  await interrupted
  let second = false
  const next = alone(path, new AbortController().signal).then(end => {
    second = true
    end()
  })
  await new Promise(resolve => setTimeout(resolve, 300))
  t.notOk(second)
  done()
  await next
})

t.test('the lock of a killed process, or a directory in its place, blocks no process', async t => {
  const path = join(t.testdir(), 'lock')
  // no process has this number (proc(5), pid_max)
  writeFileSync(path, '4194305 1 x\n')
  ;(await alone(path, new AbortController().signal))()
  mkdirSync(path)
  ;(await alone(path, new AbortController().signal))()
  t.pass('the lock is granted')
})

const taken = (pid: number) => new Failure(1, `taken by ${pid}`)

t.test('a claim fails at once while a process holds the lock, and where the file is damaged', t => {
  const path = join(t.testdir(), 'lock')
  const release = claimLock(path, taken)
  t.throws(() => claimLock(path, taken), { message: `taken by ${process.pid}` })
  release()
  claimLock(path, taken)()
  writeFileSync(path, '4194305 1 00000000-0000-0000-0000-000000000000\n')
  claimLock(path, taken)()
  for (const damaged of ['', '12', '4194305 1 x\n', '0  00000000-0000-0000-0000-000000000000\n']) {
    writeFileSync(path, damaged)
    t.throws(() => claimLock(path, taken), { message: /^\/.*lock is damaged .* if no such process runs: rm -r \// })
  }
  rmSync(path)
  mkdirSync(path)
  t.throws(() => claimLock(path, taken), { message: /is damaged/ })
  t.same(readdirSync(join(path, '..')), ['lock'], 'nothing is left beside it')
  t.end()
})

t.test('of many processes that find the lock of a killed one, one gets it', async t => {
  const path = join(t.testdir(), 'lock')
  writeFileSync(path, '4194305 1 00000000-0000-0000-0000-000000000000\n')
  const program = `
    import { claimLock } from ${JSON.stringify(new URL('../../../ctl/server/once.js', import.meta.url).href)}
    process.stdin.once('data', () => {
      try {
        claimLock(${JSON.stringify(path)}, pid => new Error(String(pid)))
        process.stdout.write('got')
      } catch {
        process.stdout.write('no')
      }
      process.stdin.on('end', () => process.exit())
    })
    process.stdout.write('ready ')`
  const processes = Array.from({ length: 8 }, () =>
    spawn(process.execPath, ['--input-type=module', '-e', program], { stdio: ['pipe', 'pipe', 'inherit'] }),
  )
  t.teardown(() => processes.map(process => process.kill('SIGKILL')))
  const said = processes.map(() => '')
  const heard = (how: RegExp) =>
    new Promise<void>(resolve => {
      const look = () => said.every(text => how.test(text)) && resolve()
      processes.forEach(({ stdout }, i) => {
        stdout.on('data', look)
        stdout.prependListener('data', chunk => {
          said[i] += chunk
        })
      })
      look()
    })
  await heard(/ready /)
  for (const { stdout } of processes) stdout.removeAllListeners('data')
  const answered = heard(/got|no/)
  for (const { stdin } of processes) stdin.write('go')
  await answered
  t.equal(said.filter(text => text.endsWith('got')).length, 1, said.join(', '))
})
