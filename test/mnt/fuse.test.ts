/** A mount of the test tree: what ordinary programs see and do. */
import { spawn } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { Client } from '../../fs/client/client.js'
import { dial } from '../../fs/dial.js'
import { OWRITE } from '../../fs/wire/protocol.js'
import { bench, ended, noFuse, sh, until } from './fixture.js'

const skip = await noFuse()
if (skip) t.comment(`skipped: ${skip}`)
const options = skip ? { skip } : {}

t.test('ls -l, find, stat, df and stat -f work on a mount', options, async t => {
  const { n } = await bench(t)
  const ls = await sh(`ls -ln ${n}`)
  t.match(ls, { code: 0, err: '' })
  t.match(ls.out, /^-rw-rw-rw- 1 +0 +0 +0 .* data$/m)
  t.match(ls.out, /^-rw------- 1 12345 +12345 +7 .* secret$/m)
  t.match(ls.out, /^dr-xr-xr-x 2 +0 +0 +0 .* many$/m)
  const find = await sh(`find ${n} -maxdepth 1 -name 'm*' -type d`)
  t.match(find, { code: 0, out: `${n}/many\n` })
  t.match(await sh(`stat -c '%F %s %a' ${n}/memory`), { code: 0, out: 'regular file 10 666\n' })
  t.match(await sh(`df ${n}`), { code: 0, out: /^llambo .* \S*\/n$/m })
  t.match(await sh(`stat -f ${n}`), { code: 0, out: /Type: fuse/ })
  t.match(await sh(`test -w ${n}/data && cd ${n}/many && ls | wc -l`), {
    code: 0,
    out: '1000\n',
  })
  t.match(await sh(`cat ${n}/nothing`), { code: 1, err: /No such file or directory/ })
})

t.test('a prompt is answered to the next reader, and on the descriptor that wrote it', options, async t => {
  const { n, seen } = await bench(t)
  t.match(await sh(`echo hello > ${n}/data; cat ${n}/data`), { code: 0, out: 'answer to hello\n' })
  t.match(await sh(`exec 3<>${n}/data; echo hi >&3; cat <&3`), { code: 0, out: 'answer to hi\n' })
  t.same(seen.prompts, [
    { user: 'root', prompt: 'hello\n' },
    { user: 'root', prompt: 'hi\n' },
  ])
})

t.test('cat shows the beginning of an answer before the rest is generated', options, async t => {
  const { n } = await bench(t, { gap: 150 })
  await sh(`echo one two three four five > ${n}/data`)
  const cat = spawn('cat', [`${n}/data`], { stdio: ['ignore', 'pipe', 'inherit'] })
  const began = performance.now()
  let first = 0
  let text = ''
  cat.stdout.on('data', chunk => {
    first ||= performance.now() - began
    text += chunk
  })
  const { code, ms } = await ended(cat)
  t.equal(code, 0)
  t.equal(text, 'answer to one two three four five\n')
  t.ok(first < ms - 400, `first byte after ${first.toFixed()} ms, last after ${ms.toFixed()} ms`)
})

for (const signal of ['SIGINT', 'SIGTERM', 'SIGKILL'] as const)
  t.test(`${signal} ends a cat that waits for data`, options, async t => {
    const { n } = await bench(t)
    const figures: number[] = []
    for (let i = 0; i < 5; i++) {
      const cat = spawn('cat', [`${n}/never`], { stdio: 'ignore' })
      const done = ended(cat)
      await sleep(150)
      const sent = performance.now()
      cat.kill(signal)
      const { signal: by } = await done
      figures.push(performance.now() - sent)
      t.equal(by, signal)
    }
    t.comment(`${signal}: ${figures.map(ms => ms.toFixed(1)).join(' ')} ms`)
    // it takes some ms; if the Tflush got no answer it would take 1 s
    t.ok(Math.min(...figures) < 500)
    t.match(await sh(`cat ${n}/status`), { code: 0, out: 'user root uid 0\n' }, 'the mount still works')
  })

t.test('a blocked read does not delay other requests', options, async t => {
  const { n } = await bench(t)
  const cats = Array.from({ length: 20 }, () => spawn('cat', [`${n}/never`], { stdio: 'ignore' }))
  await sleep(200)
  const { code, ms } = await sh(`cat ${n}/status; ls ${n} > /dev/null`)
  t.equal(code, 0)
  t.ok(ms < 2000, `${ms.toFixed()} ms`)
  for (const cat of cats) cat.kill()
  await Promise.all(cats.map(ended))
})

t.test('a nonblocking read without data fails with EAGAIN', options, async t => {
  const { n } = await bench(t)
  t.match(await sh(`dd iflag=nonblock if=${n}/status`), { code: 0, out: 'user root uid 0\n' })
  const never = await sh(`dd iflag=nonblock if=${n}/never`)
  t.equal(never.code, 1)
  t.match(never.err, /Resource temporarily unavailable/)
})

t.test(
  'a file that another client removes or replaces is gone or new at once, although the kernel caches its name',
  options,
  async t => {
    const { n, address } = await bench(t)
    const client = await Client.connect(await dial(address))
    t.teardown(() => client.close())
    const folder = await (await client.attach({ uname: 'root', n_uname: 0 })).walk(['folder'])
    const put = async (text: string) => {
      const file = await (await folder.walk([])).create('f', 0o666, OWRITE)
      await file.write(0, Buffer.from(text))
      await file.clunk()
    }
    await put('old')
    t.equal((await sh(`cd ${n}/folder; stat -c %s f; cat f`)).out, '3\nold')
    await (await folder.walk(['f'])).remove()
    t.match(await sh(`cd ${n}/folder; cat f; stat f; test -r f || echo gone`), { out: 'gone\n' })
    await put('newer')
    t.equal((await sh(`cd ${n}/folder; stat -c %s f; cat f`)).out, '5\nnewer')
    await (await folder.walk(['f'])).remove()
    await put('newest')
    t.equal((await sh(`cd ${n}/folder; cat f; stat -c %s f`)).out, 'newest6\n')
  },
)

t.test('a large write through cat or dd is one open and one close', options, async t => {
  const { n, seen } = await bench(t)
  t.match(await sh(`head -c 200000 /dev/zero | tr '\\0' a | cat > ${n}/sink`), { code: 0, err: '' })
  t.match(await sh(`dd if=/dev/zero bs=3000000 count=1 2>/dev/null | tr '\\0' b > ${n}/sink`), { code: 0, err: '' })
  await until(() => seen.closes === 2)
  t.same([seen.opens, seen.closes], [2, 2])
  t.same(
    seen.uploads.map(u => [u.length, /^(a+|b+)$/.test(u)]),
    [
      [200_000, true],
      [3_000_000, true],
    ],
  )
})

t.test(
  'one read returns a whole file that has a length, even if the server sends it in small pieces',
  options,
  async t => {
    const { n } = await bench(t)
    const read = await sh(`dd if=${n}/pieces bs=300000 count=1 2>&1 > /dev/null`)
    t.match(read, { code: 0, out: /^1\+0 records in$/m })
    const at = `import mmap; f = open('${n}/pieces'); m = mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_COPY)`
    t.match(await sh(`python3 -c "${at}; print(len(m), m[299996:].hex())"`), { code: 0, out: '300000 f7240100\n' })
  },
)

t.test('closing a copy of a descriptor does not close the file', options, async t => {
  const { n, seen } = await bench(t)
  t.match(await sh(`(echo a; /bin/echo b; echo c) > ${n}/sink`), { code: 0 })
  await until(() => seen.closes > 0)
  t.same([seen.opens, seen.closes, seen.uploads], [1, 1, ['a\nb\nc\n']])
  t.ok(seen.syncs > 1, 'although each close of a copy asked the server for errors')
})

t.test('write, open, close and other calls fail with the errno of the server', options, async t => {
  const { n } = await bench(t)
  const errno = (code: string) =>
    sh(`python3 -c "
import os,sys
try:
  ${code}
  print('fine')
except OSError as e: print(e.errno)"`)
  t.match(await errno(`os.write(os.open('${n}/full',1), b'x')`), { out: '28\n' }, 'ENOSPC')
  t.match(await errno(`os.write(os.open('${n}/forbidden',1), b'x')`), { out: '1\n' }, 'EPERM')
  t.match(await errno(`os.close(os.open('${n}/bad',1))`), { out: '74\n' }, 'EBADMSG')
  t.match(await errno(`os.fsync(os.open('${n}/bad',1))`), { out: '74\n' }, 'EBADMSG')
  t.match(await errno(`os.open('${n}/status/x',0)`), { out: '20\n' }, 'ENOTDIR')
  t.match(await errno(`os.open('${n}/status',2)`), { out: '13\n' }, 'EACCES')
  t.match(await errno(`os.mkdir('${n}/x')`), { out: '13\n' }, 'EACCES')
  t.match(await errno(`os.truncate('${n}/memory', 5)`), { out: '1\n' }, 'EPERM: a file can only be truncated to 0')
  t.match(await errno(`os.symlink('a', '${n}/folder/l')`), { out: '1\n' }, 'EPERM')
  t.match(await errno(`os.rename('${n}/folder', '${n}/many/x')`), { out: '18\n' }, 'EXDEV')
})

t.test('programs read and write at any offset, truncate and append', options, async t => {
  const { n } = await bench(t)
  t.match(await sh(`dd if=${n}/memory bs=1 skip=4 count=3 2>/dev/null`), { code: 0, out: '456' })
  const python = await sh(`python3 -c "
f = open('${n}/memory', 'r+b', buffering=0)
f.seek(3); f.write(b'XY'); f.seek(0); print(f.read())
print(f.seek(0, 2))"`)
  t.match(python, { code: 0, out: "b'012XY56789'\n10\n", err: '' })
  t.match(await sh(`echo new > ${n}/memory; cat ${n}/memory`), { out: 'new\n' }, '> truncates')
  t.match(await sh(`echo more >> ${n}/memory; cat ${n}/memory`), { out: 'new\nmore\n' }, '>> appends')
  t.match(await sh(`touch ${n}/memory && touch -d @7 ${n}/memory && chmod $(stat -c %a ${n}/memory) ${n}/memory`), {
    code: 0,
    err: '',
  })
  const mode = (await sh(`stat -c '%a %u' ${n}/memory`)).out
  const kept = { code: 1, err: /not permitted/ }
  t.match(await sh(`chmod 777 ${n}/memory`), kept, 'chmod to another mode is refused')
  t.match(await sh(`chown 4711 ${n}/memory`), kept)
  t.match(await sh(`chgrp 4711 ${n}/memory`), kept)
  t.match(await sh(`stat -c '%a %u' ${n}/memory`), { out: mode })
})

t.test('programs can make, rename, copy and remove files and directories', options, async t => {
  const { n } = await bench(t)
  const f = `${n}/folder`
  const out = await sh(`cd ${f}; echo 1 > a; mkdir d; mv a b; cat b; ls; cp b d/c; cat d/c; rm d/c; rmdir d; rm b; ls`)
  t.match(out, { code: 0, err: '', out: '1\nb\nd\n1\n' })
  t.match(
    await sh(
      `head -c 5000000 /dev/urandom > /tmp/llambo-cp.$$; cp /tmp/llambo-cp.$$ ${f}/big; cmp /tmp/llambo-cp.$$ ${f}/big; cp ${f}/big ${f}/again; cmp ${f}/big ${f}/again; rm /tmp/llambo-cp.$$`,
    ),
    { code: 0, out: '', err: '' },
  )
})

t.test('tail -f follows a file that grows', options, async t => {
  const { n } = await bench(t)
  const tail = spawn('tail', ['-n', '+1', '-s', '0.1', '-f', `${n}/log`], { stdio: ['ignore', 'pipe', 'inherit'] })
  let text = ''
  tail.stdout.on('data', chunk => (text += chunk))
  await sleep(300)
  await sh(`echo second > ${n}/grow`)
  while (!text.includes('second')) await sleep(20)
  tail.kill()
  await ended(tail)
  t.equal(text, 'first\nsecond\n')
})
