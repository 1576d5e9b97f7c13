/** Tests the commands that write to `ctl`, and `logs`. */
import t from 'tap'
import { Home } from './fixture.js'

t.test('commands control the cluster, and logs prints its events', async t => {
  const home = new Home(t)
  await home.up('--workers', '2')
  const ctl = async (...args: string[]) => {
    const { code, stdout, stderr } = await home.ctl(...args)
    return { code, says: stdout || stderr }
  }
  const workers = async () => {
    const { stdout } = await home.ctl('top', '--json')
    return JSON.parse(stdout).workers.map(({ name, state }: { name: string; state: string }) => `${name} ${state}`)
  }
  const silent = { code: 0, says: '' }

  t.same(await ctl('strategy'), { code: 0, says: 'strategy specialise\n' }, 'without an argument it prints what is set')
  t.same(await ctl('strategy', 'round-robin'), silent)
  t.same(await ctl('strategy'), { code: 0, says: 'strategy round-robin\n' })
  t.match(await ctl('strategy', 'best'), { code: 1, says: /^llamboctl: \/n\/llambo\/ctl: .*strategy: expected one of/ })

  t.same(await ctl('scale', 'min', '2', 'max', '4'), silent)
  t.match(await ctl('scale'), { code: 0, says: /^scale min 2 max 4 / })
  t.match(await ctl('scale', 'min', '9'), { code: 1, says: /min 9 is above max 4/ })
  t.same(await ctl('autoscale'), { code: 0, says: 'autoscale off\n' })

  t.same(await ctl('drain', 'worker-0002'), silent)
  t.same(await workers(), ['worker-0001 idle', 'worker-0002 draining'])
  t.same(await ctl('resume', 'worker-0002'), silent)
  t.same(await workers(), ['worker-0001 idle', 'worker-0002 idle'])
  t.match(
    await ctl('drain', 'worker 9'),
    { code: 1, says: /no worker "worker 9"; workers: worker-0001 worker-0002/ },
    'an argument with a space stays one word',
  )
  t.match(await ctl('drain'), { code: 2, says: /missing required argument 'worker'/ })

  t.match(await ctl('load', 'big', 'model'), {
    code: 1,
    says: /no worker "model"; workers: .*; load big model: .* llamboctl load 'big model'\n$/,
  })
  t.match(await ctl('rm', 'my-model'), {
    code: 1,
    says: /file does not exist; to remove a model: llamboctl rm models\/my-model\.gguf\n$/,
  })
  t.same(await ctl('spawn', 'default', '1'), silent)
  t.match(await ctl('spawn', 'huge'), { code: 1, says: /huge/ })
  const joined = home.start(['logs', '-f'])
  await joined.says(/kind=worker-ready worker=worker-0003/)
  t.same(await ctl('shutdown', 'worker-0003'), silent)
  await joined.says(/kind=worker-left worker=worker-0003/)
  joined.child.kill('SIGINT')
  t.equal((await joined.ended).code, 130, 'logs -f runs until it is interrupted')

  t.match(await ctl('health'), { code: 0, says: 'HEALTHY\n' })
  t.match(await ctl('nodes', 'list'), { code: 0, says: /^worker-0001\tidle\t0\/4\t.*\nworker-0002\tidle\t/ })
  t.match(JSON.parse((await home.ctl('nodes', '--json')).stdout), [{ name: 'worker-0001' }, { name: 'worker-0002' }])
  t.match(await ctl('balancer', 'stats'), { code: 0, says: /^strategy round-robin\nworker-0001\t/ })
  t.match(await ctl('metrics', '--export'), { code: 0, says: /^# HELP llambo_/ })
  t.same(await ctl('spawn', '--count', '1', '--type', 'default'), silent)
  const grown = home.start(['logs', '-f'])
  await grown.says(/kind=worker-ready worker=worker-0004/)
  t.match(await ctl('scale', '4'), { code: 0, says: 'workers: 3 before, 4 from now on\n' })
  await grown.says(/kind=worker-ready worker=worker-0005/)
  t.match(await ctl('scale', '2'), { code: 0, says: 'workers: 4 before, 2 from now on\n' })
  await grown.says(/kind=worker-left worker=worker-0004/)
  await grown.says(/kind=worker-left worker=worker-0005/)
  grown.child.kill('SIGINT')

  t.match(await ctl('logs'), { code: 0, says: /^seq=1 .*kind=started[\s\S]*kind=worker-left worker=worker-0003/ })
  t.match(await ctl('logs', 'worker-0001'), { code: 0, says: /kind=loaded model=echo/ })
  const { stdout } = await home.ctl('ls', 'host')
  t.match(await ctl('logs', stdout.trim()), { code: 0, says: /kind=worker-started/ })
  t.same(await ctl('logs', 'nobody'), {
    code: 1,
    says: 'llamboctl: no worker or host "nobody"; llamboctl status lists them\n',
  })
})
