/** The programs that mount and unmount, and requests during a stop: none of them is waited for without end. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { mock } from 'node:test'
import t from 'tap'
import type { Fid } from '../../fs/client/client.js'
import { Driver } from '../../mnt/fuse/driver.js'
import type { Link } from '../../mnt/link.js'
import { run } from '../../mnt/mountpoint.js'

t.test('a program that hangs is killed, and the error says so', async t => {
  const dir = mkdtempSync(join(tmpdir(), 'run-'))
  t.teardown(() => rmSync(dir, { recursive: true, force: true }))
  const hangs = join(dir, 'hangs')
  // it ignores the polite signal
  writeFileSync(hangs, "#!/bin/sh\ntrap '' TERM\nsleep 300\n", { mode: 0o755 })
  mock.timers.enable({ apis: ['setTimeout'] })
  t.teardown(() => mock.timers.reset())
  const ended = run(hangs, [])
  mock.timers.tick(20_000)
  await t.rejects(ended, { message: `${hangs} did not end within 20 s; look at what hangs with ps and dmesg` })
})

t.test('a program gets the descriptor and the variables that it is given', async t => {
  const { openSync, closeSync } = await import('node:fs')
  const fd = openSync('/dev/null', 'r')
  t.teardown(() => closeSync(fd))
  await run('sh', ['-c', 'test "$_FUSE_COMMFD" = 3 && test /dev/fd/3 -ef /dev/null'], {
    fd,
    env: { _FUSE_COMMFD: '3' },
  })
  await t.rejects(run('sh', ['-c', 'echo one >&2; echo two >&2; exit 1']), { message: 'one' })
})

t.test('statfs waits for the server only while the mount is not being stopped', async t => {
  const local = (dialect: string) => {
    const root = { qid: { type: 0, vers: 0, path: 0n }, client: { msize: 65_536, dialect } } as unknown as Fid
    const driver = new Driver({} as Link, root, { uid: 0, gid: 0 }, false)
    return ['STATFS', 'RELEASE', 'LOOKUP'].map(op => driver.local({ op } as Parameters<Driver['local']>[0]))
  }
  t.same(local('9P2000.u'), [true, true, false])
  t.same(local('9P2000.L'), [false, true, false], 'in 9P2000.L the server is asked')
})
