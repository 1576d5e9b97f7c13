/** Tests the disk for long answers and transcripts. */
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { bornAt } from '../../../cli/serverfile.js'
import { spillDisk } from '../../../ctl/server/spill.js'

/** A private state directory; others may enter those that tap makes. */
function state(t: Test) {
  const XDG_STATE_HOME = mkdtempSync(join(tmpdir(), 'llambo-spill-'))
  t.teardown(() => rmSync(XDG_STATE_HOME, { recursive: true, force: true }))
  return { env: { XDG_STATE_HOME }, dir: join(XDG_STATE_HOME, 'llambo/spill') }
}

t.test('files are private and keep what was written, and a start removes only the files of dead servers', async t => {
  const { env, dir } = state(t)
  const others = `${process.ppid}-${bornAt(process.ppid) ?? ''}`
  mkdirSync(dir, { recursive: true, mode: 0o700 })
  // among them the number of a living process with another start time
  for (const name of [others, `${process.ppid}-1`, '4194305-7', 'notes']) {
    mkdirSync(join(dir, name))
    writeFileSync(join(dir, name, '1'), 'an answer')
  }
  const disk = spillDisk(env)
  const kept = readdirSync(dir).sort()
  const own = kept.find(name => name.startsWith(`${process.pid}-`))!
  t.same(kept, [others, own, 'notes'].sort(), 'the files of a living server are kept')
  await disk.write('5', 0, [Buffer.from('one '), Buffer.from('two ')])
  await disk.write('5', 8, [Buffer.from('three')])
  t.equal(Buffer.from(await disk.read('5', 4, 9)).toString(), 'two three')
  t.equal(Buffer.from(await disk.read('5', 8, 100)).toString(), 'three')
  t.same([statSync(join(dir, own)).mode & 0o777, statSync(join(dir, own, '5')).mode & 0o777], [0o700, 0o600])
  await disk.remove('5')
  await disk.remove('5')
  t.same(readdirSync(join(dir, own)), [])
  await disk.close()
  t.same(readdirSync(dir).sort(), [others, 'notes'].sort())
  await t.rejects(disk.write('6', 0, [Buffer.from('late')]), { message: 'the server is stopping' })
})

t.test('a directory that others may enter is not used', async t => {
  const { env, dir } = state(t)
  mkdirSync(dir, { recursive: true, mode: 0o755 })
  const disk = spillDisk(env)
  await t.rejects(disk.write('1', 0, [Buffer.from('secret')]), {
    message: /other users can enter this directory; chmod 700/,
  })
  t.same(readdirSync(dir), [])
})

t.test('a file on a disk that becomes full during a write keeps what it had before', async t => {
  const dir = t.testdir()
  const mount = 'mount -t tmpfs -o size=1m,mode=700 tmpfs "$0" && exec "$@"'
  const within = (...command: string[]) =>
    spawnSync('unshare', ['-rm', 'sh', '-c', mount, dir, ...command], { encoding: 'utf8' })
  const may = within('true')
  if (may.status !== 0)
    return void t.pass('cannot be tried here', { skip: `cannot mount a small file system: ${may.stderr || may.error}` })
  const ran = within(process.execPath, fileURLToPath(new URL('fillSpill.js', import.meta.url)), dir)
  const { limit, ...rest } = JSON.parse(ran.stdout || `"${ran.stderr}"`)
  t.same(rest, { code: 'ENOSPC', wrote: 900_000, is: 900_000, last: [3] })
  t.ok(limit > 0 && limit <= 0.1 * 1024 * 1024, `a tenth of the disk may be used: ${limit}`)
})
