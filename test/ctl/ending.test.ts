/** Tests how our programs end where the terminal is gone, the disk is full or Ctrl-C is pressed twice. */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { isAlive } from '../../cli/serverfile.js'
import { fuseProblem, isMounted } from '../../mnt/mount.js'
import { noPty, onTerminal } from '../pty.js'
import { Home, llamboctl } from './fixture.js'

const program = (name: string) => fileURLToPath(new URL(`../../${name}`, import.meta.url))
const start = new URL('../../ctl/start.js', import.meta.url).href
const npmStart = ['-e', `import(${JSON.stringify(start)}).then(m => m.start(process.argv.slice(1)))`, '--']
const fuse = (await fuseProblem()) === undefined

/** Asserts that nothing of a server is left: no record, no socket, no mount, no worker. */
async function nothingLeft(t: Test, home: Home, workers: readonly number[]): Promise<void> {
  t.notOk(existsSync(home.path('run/llambo/server.json')), 'server.json is gone')
  t.notOk(existsSync(home.path('run/llambo/9p')), 'the socket is gone')
  t.notOk(await isMounted(home.path('n')), 'the mount is gone')
  for (const pid of workers) t.notOk(isAlive({ pid, born: undefined }), 'the worker is gone')
}

const workersOf = (home: Home): number[] =>
  existsSync(home.path('run/llambo/workers.json'))
    ? JSON.parse(readFileSync(home.path('run/llambo/workers.json'), 'utf8')).workers.map((w: { pid: number }) => w.pid)
    : []

/**
 * Runs a server on a terminal and, when `until` is printed, closes the terminal or presses Ctrl-C twice.
 * @returns how it ended, and its workers before
 */
async function serverOnTerminal(
  home: Home,
  args: readonly string[],
  until: string,
  act: 'close' | number,
): Promise<{ signal: number; code: number; workers: number[] }> {
  const dir = home.path('n')
  mkdirSync(dir, { recursive: true })
  const env = { ...home.env, LLAMBO_MOUNT: fuse ? dir : 'off' }
  const ended = onTerminal([process.execPath, ...args], until, act, { env, cwd: home.dir })
  const over = ended.catch(() => undefined)
  let workers: number[] = []
  for (let done = false; !done; done = await Promise.race([over.then(() => true), sleep(50, false)])) {
    const now = workersOf(home)
    if (now.length > 0) workers = now
  }
  return { ...(await ended), workers }
}

t.test('a server whose terminal is gone stops in order and exits with 129', { skip: noPty }, async t => {
  const rows: readonly [string, readonly string[], string][] = [
    ['up', [llamboctl, 'up'], 'listening on ws'],
    ['npm start', [...npmStart, '--engine', 'echo'], 'Ctrl-C stops'],
  ]
  for (const [name, args, until] of rows) {
    const home = new Home(t)
    const { signal, code, workers } = await serverOnTerminal(home, args, until, 'close')
    t.same({ signal, code }, { signal: 0, code: 129 }, name)
    t.equal(workers.length, 1)
    await nothingLeft(t, home, workers)
  }
})

t.test('a server stops in order also at two quick Ctrl-C', { skip: noPty }, async t => {
  const home = new Home(t)
  const { signal, code, workers } = await serverOnTerminal(home, [llamboctl, 'up'], 'listening on ws', 0.05)
  t.same({ signal, code }, { signal: 0, code: 0 })
  t.equal(workers.length, 1)
  await nothingLeft(t, home, workers)
})

t.test('clients whose terminal is gone exit with 129', { skip: noPty }, async t => {
  const home = new Home(t)
  await home.up()
  const rows: readonly [string, readonly string[], string][] = [
    ['cat event', [llamboctl, 'cat', 'event'], 'worker-joined'],
    ['top', [llamboctl, 'top'], '.'],
    ['limbot', [program('limbot/limbot.js'), '-n'], '.'],
    ['dish', [program('dish/dish.js'), '-i'], '.'],
  ]
  for (const [name, args, until] of rows) {
    const { signal, code } = await onTerminal([process.execPath, ...args], until, 'close', {
      env: home.env,
      cwd: home.dir,
    })
    t.same({ signal, code }, { signal: 0, code: 129 }, name)
  }
})

t.test(
  'output that cannot be written is reported on one line and exits with 1',
  { skip: !existsSync('/dev/full') },
  async t => {
    const home = new Home(t)
    await home.up()
    const rows: readonly (readonly string[])[] = [
      [llamboctl, 'status'],
      [llamboctl, 'cat', 'events'],
      [llamboctl, '--help'],
      [llamboctl, '--version'],
      [program('limbot/limbot.js'), 'hi'],
      [program('dish/dish.js'), '--help'],
    ]
    for (const args of rows) {
      const [file = '', ...words] = args
      const { status, stderr } = spawnSync(
        'sh',
        ['-c', 'exec "$0" "$@" > /dev/full', process.execPath, file, ...words],
        {
          env: home.env,
          encoding: 'utf8',
        },
      )
      t.equal(status, 1, words.join(' '))
      t.match(stderr, /^\w+: standard output: no space left on device\n$/, words.join(' '))
    }
    const run = spawnSync('sh', ['-c', 'exec "$0" "$@" 2> /dev/full', process.execPath, llamboctl, 'nosuch'], {
      env: home.env,
    })
    t.equal(run.status, 2, 'a failure that cannot be printed keeps its exit code')
  },
)
