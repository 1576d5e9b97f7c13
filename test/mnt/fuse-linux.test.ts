/** A mount of real files that diod serves over 9P2000.L: operations for which other dialects have no message. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { isMounted, startMount, unmount } from '../../mnt/mount.js'
import { base, gone, noFuse, sh } from './fixture.js'

const skip = (await noFuse()) || (spawnSync('diod', ['--help']).error ? 'there is no diod: apt-get install diod' : '')
const options = skip ? { skip } : {}

/** Starts a diod that exports a directory, and mounts it. @returns the directory and the mount point */
async function exported(t: Parameters<typeof base>[0], allowOther = false): Promise<{ tree: string; n: string }> {
  const at = await base(t)
  const [tree, n, socket] = [join(at, 'tree'), join(at, 'n'), join(at, 'sock')]
  await mkdir(tree)
  await mkdir(n)
  const diod: ChildProcess = spawn('diod', ['-f', '-n', '-l', socket, '-e', tree, '-L', join(at, 'log')])
  t.teardown(() => diod.kill('SIGKILL'))
  while (!existsSync(socket)) {
    if (diod.exitCode !== null) throw new Error(`diod ended: ${await readFile(join(at, 'log'), 'utf8')}`)
    await sleep(20)
  }
  const { pid } = await startMount({ address: `unix!${socket}`, aname: tree, dir: n, allowOther })
  t.teardown(async () => {
    if (await isMounted(n)) await unmount(n)
    await gone(pid)
  })
  return { tree, n }
}

t.test('a mount shows and changes the attributes of the files themselves', options, async t => {
  const { tree, n } = await exported(t)
  const show = 'find . -mindepth 1 -printf "%P %y %m %s %n %l %T@ %U %G %i\\n" | sort'
  await writeFile(join(tree, 'f'), 'text')
  await sh('ln f hard; ln -s f link; mkfifo pipe; mkdir d; chmod 4751 f; chown 1:2 d; touch -d @981173106.5 f', {
    cwd: tree,
  })
  t.equal((await sh(`cd ${n} && ${show}`)).out, (await sh(show, { cwd: tree })).out)
  await sh(
    'chmod 640 f; chown 3:4 f; touch -d @12345.678 f; touch -d @-1000000001.25 d; mkdir -m 1770 e; ln f d/third; ln -sf pipe link; mknod null c 1 3',
    { cwd: n },
  )
  const there = (await sh(show, { cwd: tree })).out
  t.match(there, /^f f 640 4 3 .* 12345\.6780000000 3 4 /m)
  t.equal((await sh(`cd ${n} && ${show}`)).out, there)
  t.equal((await sh(`stat -f -c "%S %b %c" ${n}`)).out, (await sh(`stat -f -c "%S %b %c" ${tree}`)).out, 'df')
})

t.test('files and directories can be moved to another directory, even while open', options, async t => {
  const { tree, n } = await exported(t)
  const ran = await sh(
    'mkdir a b; echo 1 > a/f; exec 3>> a/f; mv a/f b/g; mv b c; echo 2 >&3; cat c/g; mv c a; cat a/c/g; stat -L -c %s /proc/self/fd/3',
    { cwd: n },
  )
  t.equal(ran.out, '1\n2\n1\n2\n4\n', ran.err)
  t.equal(await readFile(join(tree, 'a/c/g'), 'utf8'), '1\n2\n')
})

t.test(
  'an open file that was removed stays usable, and is not confused with a new file of its name',
  options,
  async t => {
    const { n } = await exported(t)
    const state = 'stat -L -c "%h %s" /proc/self/fd/3'
    const ran = await sh(
      `exec 3<>f; echo one >&3; rm f; echo two >&3; ${state}; ` +
        `echo a >g; exec 3<>g; echo longer >h; mv h g; ${state}; cat <&3; python3 -c "import os; os.ftruncate(3, 0)" 2>/dev/null; cat g`,
      { cwd: n },
    )
    t.equal(ran.out, '0 8\n0 2\na\nlonger\n', ran.err)
  },
)

t.test('a memory map shows the whole file, and writes to it', options, async t => {
  const { tree, n } = await exported(t)
  const bytes = Buffer.from(Array.from({ length: 300_001 }, (_, i) => (i * 31) % 251))
  await writeFile(join(tree, 'f'), bytes)
  const { out, err } = await sh(
    `python3 -c "import mmap
f = open('${n}/f', 'r+b'); m = mmap.mmap(f.fileno(), 0); print(m[:] == f.read(), len(m)); m[299999:] = b'!!'; m.flush()
import os; print(len(os.read(os.open('${n}/f', 0), 200000)))"`,
  )
  t.equal(out, 'True 300001\n200000\n', err)
  bytes.fill('!', 299_999)
  t.ok(bytes.equals(await readFile(join(tree, 'f'))))
})

t.test('a file name that is not UTF-8 does not hide the other files', options, async t => {
  const { tree, n } = await exported(t)
  await sh('touch "$(printf "b\\344r")" plain', { cwd: tree })
  t.equal((await sh(`ls -1 ${n} 2>/dev/null`)).out, 'b\ufffdr\nplain\n')
})

t.test('another user of a shared mount can read only the files whose modes allow it', options, async t => {
  const { tree, n } = await exported(t, true)
  await sh('echo 1 > mine; echo 2 > ours; chmod 600 mine; chmod 755 .', { cwd: tree })
  const { out, err } = await sh(`cat ${n}/mine ${n}/ours`, { uid: 65534, gid: 65534 })
  t.equal(out, '2\n')
  t.match(err, /mine: Permission denied/)
})

t.test('root may not execute a file that has no execute bit', options, async t => {
  const { n } = await exported(t)
  t.equal(
    (await sh('echo x > f; test -x f; echo $?; chmod 1 f; test -x f; echo $?; test -x .; echo $?', { cwd: n })).out,
    '1\n0\n0\n',
  )
})
