/** Tests that the suite ends and removes what a test file has left. */
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { isAlive } from '../cli/serverfile.js'
import { clean, folders } from './left.js'

const sleeping = (env: NodeJS.ProcessEnv) => {
  const child = spawn('sleep', ['300'], { detached: true, stdio: 'ignore', env: { PATH: process.env.PATH, ...env } })
  child.unref()
  return { pid: child.pid!, born: undefined }
}

t.test('processes, mounts and folders of one file are ended and named, and those of another are not', async t => {
  const own = folders()
  t.teardown(() => own.remove())
  const [one, two] = [own.of(0), own.of(1)]
  t.ok(one.length < 60, 'it leaves room for the path of a unix socket')
  const mine = sleeping({ HOME: join(one, 'home') })
  const other = sleeping({ HOME: join(two, 'home') })
  t.teardown(() => process.kill(other.pid, 'SIGKILL'))
  mkdirSync(join(one, 'a folder/deep'), { recursive: true })
  writeFileSync(join(one, 'a folder/deep/file'), '')
  const mounted = spawnSync('mount', ['-t', 'tmpfs', 'none', join(one, 'a folder/deep')]).status === 0
  if (!mounted) t.comment('no mount is tested: this user may not mount')
  const left = await clean(one)
  t.match(left, `process ${mine.pid} (sleep 300)`)
  t.match(left, 'folder a folder')
  if (mounted) t.match(left, `mount ${one}/a folder/deep`)
  t.notOk(existsSync(one))
  t.notOk(isAlive(mine))
  t.ok(isAlive(other))
  t.ok(existsSync(two))
  t.equal(await clean(own.of(2)), '', 'a file that leaves nothing is not named')
})
