/** Tests `npm start`. */
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { fuseProblem, isMounted } from '../../mnt/mount.js'
import { Home, type Run } from './fixture.js'

const start = new URL('../../ctl/start.js', import.meta.url).href
const problem = await fuseProblem()
const noFuse = problem === undefined ? false : `no FUSE here: ${problem}`

/** Runs what `npm start -- ARGS` runs after the setup. */
const npmStart = (home: Home, args: readonly string[], env: NodeJS.ProcessEnv = {}): Run => {
  const script = `import(${JSON.stringify(start)}).then(m => m.start(process.argv.slice(1)))`
  return home.start(
    ['-e', script, '--', ...args],
    { LLAMBO_ENGINE: 'llama', LLAMBO_MOUNT: '', TMPDIR: home.dir, ...env },
    [],
  )
}

t.test('--once prints the answer of the bundled model and nothing else, through a mount', { skip: noFuse }, async t => {
  const home = new Home(t)
  const { code, stdout, stderr } = await npmStart(home, ['--once', 'What is AI?']).ended
  t.equal(code, 0)
  t.match(stdout, /^AI is artificial intelligence[^\n]*\n$/)
  t.equal(stderr, '')
  t.same(
    readdirSync(home.dir).filter(name => name.startsWith('llambo-once-')),
    [],
    'nothing of the server is left',
  )
})

t.test('--once reports on one line why it could not mount, and answers over 9P', async t => {
  const home = new Home(t)
  const { code, stdout, stderr } = await npmStart(home, ['--once', 'What is AI?'], { PATH: '/nonexistent' }).ended
  t.equal(code, 0)
  t.match(stdout, /^AI is artificial intelligence[^\n]*\n$/)
  t.match(stderr, /^llambo: not mounted: [^\n]+\n$/)
})

t.test('--once does not disturb a running server', async t => {
  const home = new Home(t)
  await home.up()
  const before = readFileSync(home.path('run/llambo/server.json'), 'utf8')
  const once = await npmStart(home, ['--once', 'hi there', '--engine', 'echo', '--no-mount']).ended
  t.match(once, { code: 0, stdout: '0:hi 1:there\n', stderr: '' })
  t.equal(readFileSync(home.path('run/llambo/server.json'), 'utf8'), before)
  t.equal((await home.ctl('rdwr', 'data', 'still here')).stdout, '0:still 1:here\n')
})

t.test(
  'npm start prints two commands and their answer, stays until Ctrl-C, and leaves nothing behind',
  { skip: noFuse },
  async t => {
    const home = new Home(t)
    const dir = home.path('n')
    mkdirSync(dir)
    const run = npmStart(home, [], { LLAMBO_MOUNT: dir })
    await run.says(/Ctrl-C/)
    t.match(run.stderr, `echo "What is AI?" > ${dir}/data\n`)
    t.match(run.stderr, `cat ${dir}/data\n`)
    t.match(run.stderr, /^AI is artificial intelligence/m)
    t.equal(run.stdout, '')
    t.ok(await isMounted(dir))
    t.same(JSON.parse(readFileSync(home.path('run/llambo/server.json'), 'utf8')).mounts, [dir])
    run.child.kill('SIGINT')
    t.match(await run.ended, { code: 0, stderr: /stopping/ })
    t.notOk(await isMounted(dir))
    t.notOk(existsSync(home.path('run/llambo/9p')))
  },
)

t.test('--once ends at once when it is interrupted, and leaves nothing behind', { skip: noFuse }, async t => {
  const home = new Home(t)
  const env = { LLAMBO_ENGINE_FIRST_TOKEN_MS: '60000' }
  const run = npmStart(home, ['--once', 'hi', '--engine', 'echo'], env)
  const once = async () => readdirSync(home.dir).find(name => name.startsWith('llambo-once-'))
  for (let dir = await once(); !dir || !(await isMounted(home.path(dir, 'n'))); dir = await once()) await sleep(20)
  await sleep(200)
  run.child.kill('SIGINT')
  t.match(await run.ended, { code: 130, stdout: '' })
  t.equal(await once(), undefined)
})

t.test('an unknown flag exits 2', async t => {
  const home = new Home(t)
  t.match(await npmStart(home, ['--onec', 'x']).ended, { code: 2, stdout: '', stderr: /unknown option '--onec'/ })
})

t.test('--once does not use the configured mount point, which the running server has', { skip: noFuse }, async t => {
  const home = new Home(t)
  const dir = home.path('n')
  await home.up('--mount', dir)
  const once = await npmStart(home, ['--once', 'hi', '--engine', 'echo'], { LLAMBO_MOUNT: dir }).ended
  t.match(once, { code: 0, stdout: '0:hi\n', stderr: '' })
  t.ok(await isMounted(dir))
})
