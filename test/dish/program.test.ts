/** Tests of the program `dish`, with and without a server. */

import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { Capture } from '../../dish/pipe.js'
import { user } from '../../dish/space.js'
import { Home, type Result } from '../ctl/fixture.js'
import { Shell } from './fixture.js'

const program = fileURLToPath(new URL('../../dish/dish.js', import.meta.url))

function dish(home: Home, args: readonly string[], input: string | Uint8Array = '', env = {}): Promise<Result> {
  const run = home.start(args, env, [program])
  run.child.stdin?.on('error', () => {}).end(input)
  return run.ended
}

t.test('dish without a server exits with the status of its commands, or a code for the failure', async t => {
  const home = new Home(t)
  const script = home.file('a.dish', '#!/usr/bin/env dish\necho $0 $* $#*\n')
  const none =
    /^dish: \/n\/llambo\/status: cannot reach unix!\S+\/llambo\/9p: no server answers; start one with: llamboctl up -d \(llambo, as \S+\)\n$/
  const rows: readonly (readonly [string[], number, string, RegExp | string, string?])[] = [
    [['-c', 'echo hi'], 0, 'hi\n', ''],
    [['-c', 'echo $0 $*', 'a', 'b'], 0, 'dish a b\n', ''],
    [['-c', 'exit 7'], 7, '', ''],
    [['-c', 'echo a; { sleep 0.1; echo b } &'], 0, 'a\nb\n', ''],
    [['-c', '{ sleep 0.1; echo b } &; exit 7'], 7, 'b\n', ''],
    // variables of the environment become variables of dish, except llambo's own, which may be credentials
    [['-c', 'echo $HOME $#LLAMBO_ENGINE; HOME=x; echo $HOME'], 0, `${home.dir} 0\nx\n`, ''],
    [['-c', '~ a b'], 1, '', ''],
    [['-c', 'exit bad'], 1, '', ''],
    [['-c', '!exit 3'], 3, '', ''],
    [['-c', "echo 'a"], 2, '', "dish: a quote is not closed\n  echo 'a\n       ^\n"],
    [['-c', 'ls\necho (a; b)'], 2, '', 'dish: missing word before ";" (line 2)\n  echo (a; b)\n         ^\n'],
    [['-n', '-c', 'nonsense; ls'], 0, '', ''],
    [['-n', '-c', '}'], 2, '', /unmatched "}"/],
    [['-c', 'cat status'], 3, '', none],
    [['-c', 'cat status | wc -l'], 3, '0\n', none],
    [['-c', 'cat status; echo on'], 0, 'on\n', none],
    [[script, 'x', 'y'], 0, `${script} x y 2\n`, ''],
    [['/nowhere'], 2, '', 'dish: /nowhere: no such file on this machine\n'],
    [['-i', '-c', 'ls'], 2, '', /-i cannot be used with -c or a file/],
    [['--lnog'], 2, '', /unknown option/],
    [[], 0, 'a\n', '', 'echo a\n'],
    [['-c', 'cat | wc -l'], 0, '2\n', '', 'a\nb\n'],
    [['-i'], 0, 'a\n', /^dish: \/n\/llambo: cannot reach/, 'echo a\n'],
  ]
  for (const [args, code, stdout, stderr, input] of rows) {
    const said = await dish(home, args, input)
    const shown = JSON.stringify([...args, input])
    t.equal(said.code, code, shown)
    t.equal(said.stdout, stdout, shown)
    if (typeof stderr === 'string') t.equal(said.stderr, stderr, shown)
    else t.match(said.stderr, stderr, shown)
  }
  const { code, stdout } = await home.ctl('dish', '-c', 'echo as a sub-command')
  t.same([code, stdout], [0, 'as a sub-command\n'])
})

t.test('dish works with a server', async t => {
  const home = new Home(t, { SHELL: '/bin/sh' })
  await home.up('--workers', '2')
  const address = `unix!${home.path('run', 'llambo', '9p')}`

  await t.test('bytes pass between dish and the host unchanged, and no faster than they are read', async t => {
    const bytes = randomBytes(3_000_000)
    home.file('bytes', bytes)
    const sum = '!sha256sum | !cut -c 1-8'
    const there = await dish(home, ['-c', `!cat bytes | cat | ${sum}; cat | ${sum}`], bytes)
    const [a, b] = there.stdout.trim().split('\n')
    t.match(a, /^[0-9a-f]{8}$/)
    t.equal(b, a)
    const rows: readonly (readonly [string, string, number?])[] = [
      ['!yes | head -n 2', 'y\ny\n'],
      ['!yes | cat | !head -n 1', 'y\n'],
      ['cat status | !head -c 6', 'server'],
      ['x=(a b); !echo "$x" | cat', 'a b\n'],
      ['!{ echo a; echo b; } | sort -r', 'b\na\n'],
      ['!echo to 2>&1 | cat', 'to\n'],
      [`!echo a > ${home.path('host.txt')}; !cat ${home.path('host.txt')}`, 'a\n'],
      ['x=`{!echo one two}; echo $#x', '2\n'],
      ['!true && !false || echo no $status', 'no 1\n'],
      ['echo a | !cat > /dev/null; !exit 4', '', 4],
    ]
    const shell = await Shell.at(t, address, home.env)
    for (const [text, out, code = 0] of rows) t.match(await shell.run(text), { out, code, err: '' }, text)
    const model = await shell.run(`!cat ${home.path('bytes')} | cat > models/bad.gguf; echo $status; ls models`)
    t.match(
      model.out,
      /^\|\/n\/llambo\/models\/bad\.gguf: model file is damaged: .*\nllambo-tiny\.gguf\n$/,
      'a damaged file is reported when all of it is there',
    )
  })

  await t.test('Ctrl-C ends a command that waits', async t => {
    for (const text of ['cat event', '!sleep 1000', 'while(~ 1 1) {}']) {
      const run = home.start(['-c', `echo begun; ${text}`], {}, [program])
      await run.says(/begun/)
      run.child.kill('SIGINT')
      t.equal((await run.ended).code, 130, text)
    }
    const shell = await Shell.at(t, address, home.env)
    for (const text of [
      'sleep 1000',
      '!sleep 1000',
      'cat event | cat | !cat',
      'fn f { f2 }; fn f2 { while(not ~ 1 2) ~ a a }; f',
      'watch -n 100 echo',
      'tail -f events',
      'tail -f events | grep nothing',
      'sleep 1000 & wait',
      'all cat event',
      'x=`{cat event}',
    ]) {
      const stop = new AbortController()
      const out = new Capture(1e6)
      const running = shell.run(`echo begun; ${text}`, stop.signal, out)
      while (out.text === '') await sleep(5)
      stop.abort(new Error('interrupted'))
      t.match(await running, { status: 'interrupted', err: '' }, text)
      t.equal((await shell.run('echo on')).out, 'on\n')
    }
  })

  await t.test('a reader that closes its pipe early causes no error', async t => {
    const said = await dish(home, ['-c', '!yes | head -n 100000 | !head -n 1'])
    t.same(said, { code: 0, stdout: 'y\n', stderr: '' })
  })

  await t.test('all and on run commands on workers while one of the workers is stopped', async t => {
    const shell = await Shell.at(t, address, home.env)
    t.match(await shell.run('all { cat status | grep -c server } | sort'), {
      out: 'worker-0001: 1\nworker-0002: 1\n',
      err: /^2 ok, 0 failed, \d+\.\d s\n$/,
      status: '',
    })
    t.match(await shell.run('all ls nope'), {
      out: '',
      err: /0 ok, 2 failed, \d+\.\d s: worker-0001 worker-0002\n$/,
      status: '2 failed',
    })
    t.match(await shell.run('on worker-0009 ls'), {
      status: `/n/llambo/worker-0009: file does not exist (worker-0009, as ${user.name})`,
    })
    t.match(await shell.run('all -t 0.2 sleep 100'), {
      err: /worker-0001: dish: not done within 0\.2 s\n(.*\n)*0 ok, 2 failed/,
    })
    const { out } = await shell.run("on worker-0002 grep '^server' status | !sed 's/.* id=\\([^ ]*\\).*/\\1/'")
    const pid = Number((await shell.run(`grep ${out.trim()} host/*/status | !sed 's/.*pid=\\([0-9]*\\).*/\\1/'`)).out)
    t.ok(pid > 0, `worker-0002 is process ${pid}`)
    process.kill(pid, 'SIGSTOP')
    t.teardown(() => process.kill(pid, 'SIGCONT'))
    const [all, other] = await Promise.all([
      shell.run('all grep -c server status'),
      shell.run('on worker-0001 cat status | wc -l'),
    ])
    t.match(other, { status: '' })
    t.equal(all.out, 'worker-0001: 1\n')
    t.match(
      all.err,
      new RegExp(
        `^worker-0002: dish: /n/llambo(/worker-0002)?(/status)?: no answer within 5 s \\(worker-0002, as ${user.name}\\)\n1 ok, 1 failed, \\d+\\.\\d s: worker-0002\n$`,
      ),
    )
    const stop = new AbortController()
    const waiting = shell.run('cat worker-0002/status', stop.signal)
    stop.abort(new Error('interrupted'))
    t.match(await waiting, { status: 'interrupted', err: '' }, 'Ctrl-C does not wait for the stopped worker')
  })
})

t.test('a lost connection is reported once, and dialled again', async t => {
  const home = new Home(t)
  const first = await home.up('--workers', '1')
  const shell = await Shell.at(t, `unix!${home.path('run', 'llambo', '9p')}`, home.env)
  t.equal((await shell.run('cat status | grep -c server')).out, '1\n')
  const events = new Capture(1e6)
  const reading = shell.run('cat event', undefined, events)
  while (events.text === '') await sleep(10)
  first.child.kill('SIGKILL')
  await first.ended
  t.match(await reading, { status: /^\/n\/llambo\/event: i\/o on hungup channel/ })
  t.match(await shell.run('cat status; cat status'), { code: 3, status: /cannot reach .*no server answers/ })
  await home.up('--workers', '1')
  t.equal((await shell.run('cat status | grep -c server')).out, '1\n')
  t.match(shell.told, [
    /^dish: connection to unix!\S+ lost; the next command that needs it reconnects$/,
    /^dish: connected to unix!\S+ again$/,
  ])
  t.equal(shell.told.length, 2)
})

t.test('a server that requires a token is given one', async t => {
  const home = new Home(t)
  const server = await home.up('--listen', 'tcp!127.0.0.1!0', 'ws://127.0.0.1:0/9p')
  await server.says(/listening on tcp!127\.0\.0\.1!\d+/)
  const [address = ''] = /tcp!127\.0\.0\.1!\d+/.exec(server.stderr + server.stdout) ?? []
  const ours = await dish(home, ['-c', `import ${address}; grep -c server /n/127.0.0.1/status`])
  t.same([ours.code, ours.stdout], [0, '1\n'])
  const wrong = await dish(home, ['--at', address, '-c', 'cat status'], '', { LLAMBO_TOKEN: 'llb_wrong' })
  t.match(wrong, { code: 4, stderr: /authentication required/ })
  const other = await dish(home, ['-c', `LLAMBO_TOKEN=llb_wrong import ${address} /n/a; import ${address} /n/b; ls /n`])
  t.match(
    other,
    { stderr: /authentication required/, stdout: 'b\ndish\nllambo\n' },
    'the token is for that command only',
  )
})
