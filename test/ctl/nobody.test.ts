/** Tests a user without an entry in the system, a home and a terminal, and directories that cannot be made. */
import { spawn } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { privateDir } from '../../cli/paths.js'
import { makeMountPoint } from '../../ctl/server/mounting.js'
import { makeDirectory } from '../../fs/host-directory.js'
import { Home, llamboctl, type Result, Run } from './fixture.js'

const UID = 12345
const notRoot = process.getuid?.() === 0 ? false : 'needs root'

t.test('a user without an entry, HOME and TERM can start, use and stop a server', { skip: notRoot }, async t => {
  const dir = mkdtempSync(join(tmpdir(), 'llambo-nobody-'))
  chmodSync(dir, 0o1777)
  // with the bundled model
  const run = (...args: string[]): Promise<Result> => {
    const env = { PATH: process.env.PATH, TMPDIR: dir, LLAMBO_LISTEN: 'ws://127.0.0.1:0/9p' }
    return new Run(spawn(process.execPath, [llamboctl, ...args], { uid: UID, gid: UID, env, cwd: '/' })).ended
  }
  t.teardown(async () => {
    await run('down')
    rmSync(dir, { recursive: true, force: true })
  })
  t.match(await run('up', '-d', '--no-mount'), { code: 0, stderr: new RegExp(`llambo-${UID}/9p`) })
  t.match(await run('rdwr', 'data', 'hi'), { code: 0, stdout: /\w/ })
  t.match(await run('cat', 'task/1/status'), { code: 0, stdout: new RegExp(`user=${UID} `) })
  t.match(await run('down'), { code: 0, stderr: '' })
})

t.test('a directory that cannot be made is reported at once with the remedy', async t => {
  const home = new Home(t)
  const file = home.file('file', '')
  const failures: readonly [() => unknown, RegExp][] = [
    [() => privateDir('/proc/x/llambo'), /^cannot create \/proc\/x\/llambo .*; set HOME, or the XDG variables/],
    [() => makeMountPoint('/sys/x'), /^cannot create \/sys\/x .*; mount on another directory/],
    [() => makeMountPoint(file), /file is not a directory; mount on a directory/],
    [() => makeMountPoint(join(file, 'below')), /below is not a directory; mount on a directory/],
  ]
  for (const [make, message] of failures) t.throws(make, { message })
  const { code, stderr } = await home.start(['up', '--mount', '/proc/x']).ended
  t.equal(code, 1)
  t.match(stderr, /llamboctl: cannot create \/proc\/x .*; mount on another directory\n$/)
})

t.test('makeDirectory makes the missing directories of a path', t => {
  const dir = mkdtempSync(join(tmpdir(), 'llambo-dirs-'))
  t.teardown(() => rmSync(dir, { recursive: true, force: true }))
  makeDirectory(join(dir, 'a/b/c'))
  makeDirectory(join(dir, 'a/b/c'))
  writeFileSync(join(dir, 'a/f'), '')
  t.throws(() => makeDirectory(join(dir, 'a/f')), { code: 'EEXIST' })
  t.throws(() => makeDirectory(join(dir, 'a/f/g')), { code: 'ENOTDIR' })
  t.throws(() => makeDirectory('/proc/x/y'), { code: 'ENOENT' })
  t.end()
})
