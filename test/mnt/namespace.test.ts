/** llambo as its users see it: a server process, a mount, and ordinary programs. */
import { execFile, spawn } from 'node:child_process'
import { mkdirSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import t from 'tap'
import { checkout, Home, type Run } from '../ctl/fixture.js'
import { noFuse } from './fixture.js'

const skip = await noFuse()
const options = skip ? { skip } : {}
const run = promisify(execFile)

/** Starts a server that mounts its tree. @returns the mount point, the server process and its home */
async function mounted(
  t: Tap,
  env: NodeJS.ProcessEnv = {},
  args: string[] = [],
): Promise<{ at: string; up: Run; home: Home }> {
  const home = new Home(t)
  const at = home.path('n')
  mkdirSync(at)
  Object.assign(home.env, env, { LLAMBO_MOUNT: at })
  const up = home.start(['up', ...args])
  await up.says(/mounted at/)
  return { at, up, home }
}
type Tap = ConstructorParameters<typeof Home>[0]

/**
 * Runs a line of shell with the mount point at $N.
 * @returns its standard output
 * @throws its failure, with its standard error
 */
async function sh(at: string, line: string): Promise<string> {
  const { stdout } = await run('bash', ['-c', line], { cwd: '/', env: { ...process.env, N: at, M: checkout } })
  return stdout
}
const fails = (at: string, line: string): Promise<string> =>
  sh(at, line).then(
    out => `it worked: ${out}`,
    (error: { stderr: string }) => error.stderr,
  )

t.test('the next cat of data prints the answer to a prompt written to it', options, async t => {
  const { at } = await mounted(t)
  t.equal(await sh(at, 'echo "red green" > $N/data; cat $N/data'), '0:red 1:green\n')
  t.equal(await sh(at, 'echo blue > $N/worker-0001/data; cat $N/worker-0001/data'), '0:blue\n')
  t.equal(await sh(at, 'exec 3<>$N/data; echo one >&3; cat <&3; exec 3>&-'), '0:one\n')
  t.equal(await sh(at, '(echo a; /bin/echo b; echo c) > $N/data; cat $N/data'), '0:a 1:b 2:c\n', 'one prompt')
  t.equal(await sh(at, 'printf "%s" "w x3" | cat > $N/data; cat $N/data'), '0:w 1:w 2:w\n')
  await sh(at, 'yes word | head -c 200000 | cat > $N/data; cat $N/data')
  t.same(
    (await sh(at, 'cat $N/task/5/prompt | wc -cl')).trim().split(/ +/),
    ['40000', '200000'],
    'a write of 200 kB is one prompt',
  )
  t.equal(
    await sh(at, `python3 -c "f=open('$N/data','r+'); f.write('py thon'); f.flush(); print(f.read(), end='')"`),
    '0:py 1:thon\n',
  )
})

t.test('cat shows an answer while it is generated', options, async t => {
  const { at } = await mounted(t, { LLAMBO_ENGINE_RATE: '20' })
  await sh(at, 'echo "w x40" > $N/data') // two seconds
  const cat = spawn('cat', [`${at}/data`], { stdio: ['ignore', 'pipe', 'inherit'] })
  const pieces: string[] = []
  cat.stdout.setEncoding('utf8').on('data', piece => pieces.push(piece))
  while (pieces.length < 3) await sleep(10)
  t.match(
    await sh(at, 'cat $N/task/1/status'),
    /state=running/,
    'the first bytes arrived before the last token was generated',
  )
  await new Promise(resolve => cat.once('close', resolve))
  t.equal(pieces.join('').trim().split(' ').length, 40)
})

for (const signal of ['SIGINT', 'SIGTERM', 'SIGKILL'] as const)
  t.test(`${signal} ends a cat that waits, and the answer is still complete`, options, async t => {
    const { at } = await mounted(t, { LLAMBO_ENGINE_FIRST_TOKEN_MS: '2000' })
    await sh(at, 'echo "w x4" > $N/data')
    const cat = spawn('cat', [`${at}/data`], { stdio: 'ignore' })
    await sleep(150)
    const begin = performance.now()
    cat.kill(signal)
    await new Promise(resolve => cat.once('close', resolve))
    const ms = performance.now() - begin
    t.comment(`${signal}: gone after ${ms.toFixed(1)} ms`)
    // It takes some ms. The bound distinguishes that from a wait for the first token, or for a Tflush that gets no
    // answer (1 s).
    t.ok(ms < 800, `${ms} ms`)
    t.equal(await sh(at, 'cat $N/data'), '0:w 1:w 2:w 3:w\n')
  })

t.test('tail -f follows a session’s log', options, async t => {
  const { at } = await mounted(t)
  const id = (await sh(at, 'exec 4<>$N/session/clone; read n <&4; echo $n')).trim()
  const tail = spawn('tail', ['-s', '0.1', '-f', `${at}/session/${id}/log`], { stdio: ['ignore', 'pipe', 'ignore'] })
  t.teardown(() => tail.kill())
  let seen = ''
  tail.stdout.setEncoding('utf8').on('data', piece => {
    seen += piece
  })
  await sh(at, `echo "first turn" > $N/session/${id}/data; cat $N/session/${id}/data`)
  await sh(at, `echo "second turn" > $N/session/${id}/data; cat $N/session/${id}/data`)
  while (!seen.includes('0:second 1:turn\n')) await sleep(20)
  t.match(seen, /^user: first turn\nassistant: 0:first 1:turn\n\nuser: second turn\nassistant: 0:second 1:turn\n/)
  await sh(at, `rm -r $N/session/${id}`)
  t.equal(await sh(at, 'ls $N/session'), 'clone\n')
})

t.test('200 clients at once each get the answer to their own prompt', options, async t => {
  const { at } = await mounted(t, {}, ['--slots', '16'])
  const client = `import os,sys
from concurrent.futures import ThreadPoolExecutor
def ask(i):
    fd=os.open(sys.argv[1]+'/data',os.O_RDWR)
    os.write(fd,b'client %d'%i)
    out=b''
    while True:
        piece=os.read(fd,4096)
        if not piece: break
        out+=piece
    os.close(fd)
    return out==b'0:client 1:%d\\n'%i
with ThreadPoolExecutor(200) as pool: print(sum(pool.map(ask,range(200))))`
  const { stdout } = await run('python3', ['-c', client, at])
  t.equal(stdout, '200\n')
})

t.test('ls, df, stat, find and cp work on the tree', options, async t => {
  const { at } = await mounted(t)
  t.match(await sh(at, 'ls -l $N'), /-rw-rw-rw- 1 root +\S+ +0 .* data\n/)
  t.match(await sh(at, 'df $N'), /llambo/)
  t.match(await sh(at, 'stat -f $N'), /Namelen: 255/)
  t.match(await sh(at, 'stat $N/data'), /regular empty file/)
  t.match(
    await sh(at, 'cat $N/namespace'),
    /^mount 'unix!.+' worker-0001\nmount \S+ host\/\S+\nbind -a worker-0001\/models models\n$/,
  )
  const found = await sh(at, 'find $N')
  for (const name of ['ctl', 'models/llambo-tiny.gguf', 'worker-0001/session/clone']) t.match(found, `${at}/${name}\n`)
  await sh(at, 'for i in $(seq 1000); do echo $i > $N/data; done')
  t.equal((await sh(at, 'ls $N/task | wc -l')).trim(), '1000', 'all 1,000 entries are listed')
  t.match(await sh(at, 'cp -r $N/task/1000 "$N/../copied" && cat "$N/../copied/prompt"'), /^1000\n$/)
})

t.test('models can be copied out and in, and a damaged model is refused at the close', options, async t => {
  const { at } = await mounted(t)
  await sh(at, 'cp $N/models/llambo-tiny.gguf $N/../out.gguf && cmp $N/../out.gguf $M/models/llambo-tiny.gguf')
  await sh(at, 'cp $N/../out.gguf $N/models/mine.gguf && cmp $N/models/mine.gguf $N/../out.gguf')
  t.equal((await sh(at, 'ls $N/models')).trim(), 'llambo-tiny.gguf\nmine.gguf')
  await sh(at, 'head -c 1000000 $N/../out.gguf > $N/../cut.gguf')
  t.match(await fails(at, 'cp $N/../cut.gguf $N/models/cut.gguf'), /Bad message/)
  t.match(await sh(at, 'cat $N/error'), / models\/cut.gguf: model file is damaged: tensor .* past the end of the file/)
  t.equal(
    (await sh(at, 'ls -A $N/models')).trim(),
    'llambo-tiny.gguf\nmine.gguf',
    'nothing of the damaged model is left',
  )
  await sh(at, 'rm $N/models/mine.gguf')
  t.match(
    await fails(at, 'rm $N/models/llambo-tiny.gguf'),
    /denied|not permitted/i,
    'the bundled model cannot be removed',
  )
})

t.test('programs see the errno of an error, and the error file has it in full', options, async t => {
  const { at } = await mounted(t)
  t.match(await fails(at, 'echo frobnicate > $N/ctl'), /Invalid argument/)
  t.match(await sh(at, 'cat $N/error'), /^\S+Z ctl: unknown command: frobnicate; commands: strategy queue/)
  t.match(await fails(at, 'head -c 1100000 /dev/zero | tr "\\0" a > $N/data'), /File too large/)
  t.match(await fails(at, 'cat $N/data'), /File too large/, 'the refused prompt is the newest')
  t.match(await fails(at, 'printf "\\377\\376" > $N/data'), /Invalid or incomplete multibyte/)
  t.match(await fails(at, 'exec 3<>$N/generate; echo "{\\"promt\\":1}" >&3; cat <&3'), /Invalid argument/)
  t.match(await sh(at, 'cat $N/error'), /unknown key "promt"; keys:/)
  t.equal(await sh(at, 'echo alive > $N/data; cat $N/data'), '0:alive\n')
})

t.test('two users of a shared mount never see each other’s answers', options, async t => {
  const { at, home } = await mounted(t)
  const shared = home.path('shared')
  mkdirSync(shared)
  await run('chmod', ['755', home.dir])
  const { code, stderr } = await home.ctl('mount', '--allow-other', shared)
  t.equal(code, 0, stderr)
  t.teardown(() => home.ctl('umount', shared))
  const as = (user: string, line: string) => run('setpriv', [`--reuid=${user}`, '--clear-groups', 'bash', '-c', line])
  await as('nobody', `echo "of nobody" > ${shared}/data`)
  await as('daemon', `echo "of daemon" > ${shared}/data`)
  t.equal((await as('nobody', `cat ${shared}/data`)).stdout, '0:of 1:nobody\n')
  t.equal((await as('daemon', `cat ${shared}/data`)).stdout, '0:of 1:daemon\n')
  t.equal((await as('nobody', `ls ${shared}/task`)).stdout, '1\n')
  const peek = await as('daemon', `cat ${shared}/task/1/answer`).catch((error: { stderr: string }) => error)
  t.match(peek.stderr, /No such file/)
  const steer = await as('daemon', `echo shutdown > ${shared}/ctl`).catch((error: { stderr: string }) => error)
  t.match(steer.stderr, /Permission denied/)
  t.equal(await sh(at, 'cat $N/data'), '', 'root, on the other mount, has asked nothing')
})

t.test(
  'when a server is killed, waiting reads fail with EIO within 5 s, and the next server can mount at the same place',
  options,
  async t => {
    const { at, up, home } = await mounted(t, { LLAMBO_ENGINE_RATE: '2' })
    await sh(at, 'echo "w x100" > $N/data')
    const waiting = fails(at, 'cat $N/data')
    await sleep(200)
    const begin = performance.now()
    up.child.kill('SIGKILL')
    t.match(await waiting, /Input\/output error/)
    const ms = performance.now() - begin
    t.ok(ms < 5000, `${ms.toFixed(0)} ms`)
    await up.ended
    const again = home.start(['up'])
    await again.says(/mounted at/)
    t.match(await sh(at, 'cat $N/status'), /state=(idle|busy)/)
    t.equal(
      readFileSync('/proc/mounts', 'utf8')
        .split('\n')
        .filter(line => line.includes(` ${at} `)).length,
      1,
    )
    const { code, stderr } = await home.ctl('down', '--now')
    t.equal(code, 0, stderr)
    await again.ended
    t.equal(readFileSync('/proc/mounts', 'utf8').includes(at), false, 'the mount is gone')
  },
)
