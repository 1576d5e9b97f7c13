/** Tests `llamboctl doctor`. */
import { readFileSync } from 'node:fs'
import t from 'tap'
import type { Finding } from '../../ctl/doctor/finding.js'
import { findings } from '../../ctl/doctor/findings.js'
import { Home } from './fixture.js'

const names = [
  'node',
  'fuse',
  'mounts',
  'cpu',
  'gpu',
  'memory',
  'descriptors',
  'port',
  'config',
  'runtime',
  'models',
  'state',
  'spill',
  'upstream',
  'disk',
  'server',
  'workers',
]

t.test('doctor runs every check, and each finding that is not ok has a remedy', async t => {
  const home = new Home(t)
  const { stdout } = await home.ctl('doctor', '--json')
  const all: Finding[] = JSON.parse(stdout)
  t.same(
    all.map(({ name }) => name),
    names,
  )
  for (const { name, state, says, remedy } of all) {
    t.ok(says, `${name}: ${says}`)
    if (state !== 'ok') t.ok(remedy, `${name}: ${remedy}`)
    t.notMatch(says, /the check failed/, name)
  }
})

t.test('doctor fails where a finding is bad', async t => {
  const home = new Home(t)
  home.file('.config/llambo/config.yaml', 'slotz: 3\n')
  const { code, stdout, stderr } = await home.ctl('doctor')
  t.equal(code, 1)
  t.match(stdout, /^bad +config +\S+config\.yaml:1: slotz: unknown key \(did you mean slots\?\)$/m)
  t.match(stderr, /^llamboctl: llambo cannot work until these are fixed: .*config/)
})

t.test('doctor does not ask for a report where a runtime directory is at fault', async t => {
  const home = new Home(t)
  home.file('in-the-way', '')
  const all = await findings({ ...home.env, XDG_RUNTIME_DIR: home.path('in-the-way') })
  const notes = all.filter(({ says }) => says.startsWith('the check failed'))
  t.ok(notes.length > 0)
  for (const { name, remedy } of notes) t.match(remedy, /^fix this/, name)
})

t.test('doctor finds damaged files that a server has renamed', async t => {
  const home = new Home(t)
  home.file('.local/state/llambo/cluster/session-7.damaged', '{')
  home.file('run/llambo/workers.json.damaged', '{')
  const state = (await findings(home.env)).find(({ name }) => name === 'state')
  t.match(state, {
    state: 'note',
    says: /^2 files could not be restored: \S+session-7\.damaged \S+workers\.json\.damaged$/,
    remedy: /not-restored/,
  })
})

t.test('doctor finds a state directory that cannot be written, so that long answers stay in memory', async t => {
  const home = new Home(t)
  const spill = async (env: NodeJS.ProcessEnv) => (await findings(env)).find(({ name }) => name === 'spill')
  t.match(await spill(home.env), { state: 'ok', says: /^up to .* in .*\/state\/llambo\/spill$/ })
  t.match(await spill({ ...home.env, XDG_STATE_HOME: '/proc/sys' }), {
    state: 'note',
    says: /^cannot write to \/proc\/sys \(E\w+\): long answers and transcripts stay in memory$|\/proc\/sys: most long answers/,
    remedy: /XDG_STATE_HOME/,
  })
})

t.test('doctor finds a server.json that cannot be read', async t => {
  const home = new Home(t)
  home.file('run/llambo/server.json', '{')
  const server = (await findings(home.env)).find(({ name }) => name === 'server')
  t.match(server, { state: 'note', says: /cannot read \S+server\.json/, remedy: /llamboctl up/ })
})

t.test('doctor finds a damaged model', async t => {
  const home = new Home(t)
  home.file('.local/share/llambo/models/broken.gguf', 'GGUF and then nothing')
  const model = (await findings(home.env)).find(({ name }) => name === 'models')
  t.match(model, { state: 'note', says: /^broken: /, remedy: /^remove .*broken\.gguf/ })
})

t.test('doctor reports a killed worker with its signal', async t => {
  const home = new Home(t)
  await home.up()
  const { workers } = JSON.parse(readFileSync(home.path('run/llambo/workers.json'), 'utf8'))
  process.kill(workers[0].pid, 'SIGKILL')
  const found = async () => (await findings(home.env)).find(({ name }) => name === 'workers')
  let finding = await found()
  while (finding?.state === 'ok') finding = await found()
  t.match(finding, { state: 'note', says: /^worker(-\d{4}| [0-9a-f]{8}) of \S+: ended by SIGKILL$/ })
})
