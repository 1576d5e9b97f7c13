/**
 * Ordinary programs on a real server's tree through a mount: they follow it, read it whole, copy it and save into it.
 */
import { execFile, spawn } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import t from 'tap'
import { Home } from '../ctl/fixture.js'
import { noFuse } from './fixture.js'

const skip = await noFuse()
if (skip) {
  t.pass('ordinary programs on the tree', { skip })
  process.exit()
}

// these tests read the whole tree several times, each time with its models
t.setTimeout(240_000)
const home = new Home(t)
const at = home.path('n')
const out = home.path('out')
for (const dir of [at, out]) mkdirSync(dir)
const up = home.start(['up', '--workers', '1'], { LLAMBO_MOUNT: at })
await up.says(/mounted at/)

/** Runs a line of shell with the tree at $N and an empty directory at $OUT. @returns its standard output */
async function sh(line: string): Promise<string> {
  const env = { ...process.env, N: at, OUT: out }
  return (await promisify(execFile)('bash', ['-c', line], { cwd: out, env, timeout: 60_000, killSignal: 'SIGKILL' }))
    .stdout
}
/** Whether this machine has a program. */
const has = (program: string): Promise<boolean> => sh(`command -v ${program}`).then(Boolean, () => false)
const session = (line: string) => `exec 4<>$N/session/clone; read n <&4; S=$N/session/$n; ${line}; rmdir $S`

t.test('tail -n and tail -f work on events', async t => {
  await sh('echo before > $N/data; cat $N/data')
  t.match(await sh('tail -n 1 $N/events'), /^seq=\d+ \S+ kind=task-done task=1 .*\n$/)
  const tail = spawn('tail', ['-s', '0.1', '-f', `${at}/events`], { stdio: ['ignore', 'pipe', 'ignore'] })
  t.teardown(() => tail.kill())
  let seen = ''
  tail.stdout.setEncoding('utf8').on('data', piece => {
    seen += piece
  })
  while (!seen.includes('kind=task-done task=1 ')) await sleep(20)
  await sh('echo after > $N/data; cat $N/data')
  while (!seen.includes('kind=task-done task=2 ')) await sleep(20)
  const numbers = [...seen.matchAll(/^seq=(\d+)/gm)].map(([, n]) => Number(n))
  t.same(
    numbers,
    numbers.map((_, i) => numbers[0]! + i),
    'each line once',
  )
})

t.test('a reader of event waits for more at its end', async t => {
  const cat = spawn('cat', [`${at}/event`], { stdio: ['ignore', 'pipe', 'ignore'] })
  t.teardown(() => cat.kill())
  let seen = ''
  cat.stdout.setEncoding('utf8').on('data', piece => {
    seen += piece
  })
  while (!seen.includes('kind=started')) await sleep(20)
  const task = Number(await sh('echo more > $N/data; cat $N/data > /dev/null; ls $N/task | sort -n | tail -1'))
  while (!seen.includes(`kind=task-done task=${task} `)) await sleep(20)
  t.equal(cat.exitCode, null)
})

t.test('programs can count, search and copy the whole tree, and no session is left behind', async t => {
  await sh('echo findme > $N/data; cat $N/data')
  t.match(await sh('find $N -type f -exec wc -c {} + | tail -1'), /\d{7,} total/)
  t.match(await sh('grep -rl findme $N'), /task\/\d+\/prompt\n/)
  await sh('cp -r $N $OUT/copy')
  t.match(await sh('cat $OUT/copy/status'), /^server name=/)
  t.equal(await sh('cmp $N/namespace $OUT/copy/namespace; cmp $N/events $OUT/copy/events'), '')
  t.equal(await sh('ls $N/session'), 'clone\n')
})

t.test('programs that rely on the length copy files completely', async t => {
  await sh('tar cf $OUT/t.tar -C $N status metrics events ctl task; mkdir t; tar xf t.tar -C t')
  t.match(await sh('cat t/status'), /^server name=[\s\S]*\nworker name=.*\n$/)
  t.equal(await sh('cmp t/events $N/events; cmp t/task/1/answer $N/task/1/answer; cmp t/ctl $N/ctl'), '')
  const python = "import os, shutil\nN = os.environ['N']\nfor f in 'status', 'metrics': shutil.copy(f'{N}/{f}', f)"
  await sh(`python3 -c "${python}"`)
  t.match(await sh('cat status metrics'), /^server name=[\s\S]*\nllambo_\S+ \d+\n/)
  if (await has('rsync')) {
    await sh('rsync -a --exclude models $N/ r')
    t.match(await sh('cat r/status'), /^server name=/)
    t.equal(await sh('cmp r/task/1/stream $N/task/1/stream'), '')
  } else t.pass('rsync', { skip: 'no rsync' })
})

t.test('programs can change a session’s files in place, and by writing a new file and renaming it', async t => {
  t.equal(await sh(session('echo "be terse" > $S/system; sed -i s/terse/kind/ $S/system; cat $S/system')), 'be kind\n')
  t.equal(
    await sh(session('echo hi > $S/data; cat $S/data > /dev/null; sed -i s/hi/ho/ $S/history; cat $S/history')),
    '{"role":"user","content":"ho"}\n{"role":"assistant","content":"0:ho"}\n',
  )
  const refused =
    'echo hi > $S/data; cat $S/data > /dev/null; sed -i s/^/x/ $S/history 2> /dev/null || wc -l < $S/history'
  t.equal(await sh(session(refused)), '2\n', 'a line that is not a message changes nothing')
  const save = `import os, tempfile
S = os.environ['S']
with tempfile.NamedTemporaryFile('w', dir=S, delete=False) as f: f.write('be new')
os.replace(f.name, S + '/system')
os.rename(S + '/system', S + '/system~')
print(*sorted(os.listdir(S)), open(S + '/system').read(), open(S + '/system~').read())`
  t.equal(
    await sh(session(`export S; python3 -c "${save}"`)),
    'ctl data generate history log status system system~ trace be new\n be new\n\n',
  )
  t.match(
    await sh(
      session('head -c 2000000 /dev/zero > $S/big || cp $N/status $S/log || mv $S/system $S/log || echo refused'),
    ),
    /^refused\n$/,
  )
  if (!(await has('vim'))) return void t.pass('vim', { skip: 'no vim' })
  const vim =
    'vim -u NONE -N -es -c "set backup backupskip= backupcopy=no directory=. backupdir=." -c %s/a/b/ -c wq $S/system'
  t.equal(await sh(session(`echo a > $S/system; ${vim}; cat $S/system; ls -A $S | wc -l`)), 'b\n9\n')
})

t.test('a session of which only the number was read is not listed, but can be used by its number', async t => {
  const number = (await sh('cat $N/session/clone')).trim()
  t.equal(await sh('ls $N/session'), 'clone\n')
  t.equal(await sh(`echo hi > $N/session/${number}/data; cat $N/session/${number}/data`), '0:hi\n')
  t.equal(await sh('ls $N/session'), `${number}\nclone\n`)
  await sh(`rmdir $N/session/${number}`)
})
