/** Tests what happens to unfinished answers when their server is stopped. */
import { spawn } from 'node:child_process'
import t from 'tap'
import { fuseProblem } from '../../mnt/mount.js'
import { Home, Run } from './fixture.js'

const problem = await fuseProblem()
const noFuse = problem === undefined ? false : `no FUSE here: ${problem}`
const prompt = Array.from({ length: 30 }, (_, i) => `w${i}`).join(' ')
const whole = `${Array.from({ length: 30 }, (_, i) => `${i}:w${i}`).join(' ')}\n`

t.test(
  'down says that it waits, and answers are finished and read over 9P and through the mount',
  { skip: noFuse },
  async t => {
    const home = new Home(t, { LLAMBO_ENGINE_RATE: '3' })
    const dir = home.path('n')
    await home.up('--mount', dir)
    const direct = home.start(['rdwr', 'data', prompt])
    const mounted = new Run(spawn('sh', ['-c', `exec 3<>"$0" && echo "$1" >&3 && exec cat <&3`, `${dir}/data`, prompt]))
    await Promise.all([direct.says(/0:w0/), mounted.says(/0:w0/)])
    const down = await home.ctl('down')
    t.match(down, {
      code: 0,
      stderr: /^waiting up to 25 s for \d answers? to finish; llamboctl down --now does not wait\n$/,
    })
    t.match(await direct.ended, { code: 0, stdout: whole })
    t.match(await mounted.ended, { code: 0, stdout: whole })
  },
)

t.test('down says how many answers it waits for: those that are made and those in the queue', async t => {
  const home = new Home(t, { LLAMBO_ENGINE_RATE: '1', LLAMBO_SLOTS: '1' })
  await home.up()
  const first = home.start(['rdwr', 'data', prompt])
  await first.says(/0:w0/)
  const second = home.start(['rdwr', 'data', prompt])
  while (!/^server .* queue=1 /m.test((await home.ctl('cat', 'status')).stdout));
  const down = home.start(['down'])
  await down.says(/^waiting up to 25 s for 2 answers to finish;/m)
  await home.ctl('down', '--now')
  await Promise.all([down.ended, first.ended, second.ended])
})

t.test('down --now and a second signal end answers with a whole line and the reason', async t => {
  const home = new Home(t, { LLAMBO_ENGINE_RATE: '1' })
  for (const end of ['--now', 'SIGTERM'] as const) {
    const server = await home.up()
    const reader = home.start(['rdwr', 'data', prompt])
    await reader.says(/0:w0/)
    if (end === '--now') t.same(await home.ctl('down', '--now'), { code: 0, stdout: '', stderr: '' })
    else {
      server.child.kill('SIGTERM')
      await server.says(/waiting up to 25 s for 1 answer to finish/)
      server.child.kill('SIGTERM')
    }
    t.match(await reader.ended, { code: 1, stdout: /^0:w0[^\n]*\n$/, stderr: /shutting down/ })
    t.match(await server.ended, { code: 0 })
  }
})
