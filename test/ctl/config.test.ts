import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { loadConfig } from '../../ctl/common/config.js'
import { exitCode, type Failure } from '../../ctl/common/exit.js'
import { settings } from '../../ctl/common/settings.js'

const dir = mkdtempSync(join(tmpdir(), 'llambo-config-'))
t.teardown(() => rmSync(dir, { recursive: true }))
let files = 0
const yaml = (text: string): string => {
  const path = join(dir, `${files++}.yaml`)
  writeFileSync(path, text)
  return path
}

/** The message of the usage error that a file gives, behind the file's name. */
function refusal(text: string): string {
  const path = yaml(text)
  try {
    loadConfig({}, {}, path)
  } catch (error) {
    const { code, message } = error as Failure
    return code === exitCode.usage ? message.replace(path, 'FILE') : `code ${code}`
  }
  return 'accepted'
}

t.test('a flag is before the environment, that before the file, that before the default', async t => {
  const file = yaml('slots: 2\nmodel: a\nengine:\n  rate: 5\n')
  const { config, origins } = loadConfig({ LLAMBO_SLOTS: '3', LLAMBO_MODEL: 'b' }, { slots: 4 }, file)
  t.equal(config.slots, 4)
  t.equal(origins.slots, '--slots')
  t.equal(config.model, 'b')
  t.equal(origins.model, 'LLAMBO_MODEL')
  t.equal(config['engine.rate'], 5)
  t.equal(origins['engine.rate'], `${file}:4`)
  t.equal(config.auth, 'token')
  t.equal(origins.auth, 'default')
})

t.test('an empty variable is as good as none, an empty file as well', async t => {
  t.equal(loadConfig({ LLAMBO_SLOTS: '' }, {}, yaml('# nothing\n')).config.slots, 4)
})

t.test('the file in the configuration directory is read where it is, and need not be there', async t => {
  t.equal(loadConfig({ XDG_CONFIG_HOME: join(dir, 'none') }).config.slots, 4)
  t.throws(() => loadConfig({}, {}, join(dir, 'none.yaml')), { message: /none\.yaml: file does not exist/, code: 2 })
})

t.test('a list in a variable is words', async t => {
  const { config } = loadConfig({ LLAMBO_LISTEN: 'tcp!127.0.0.1!1, unix!/x' }, {}, yaml(''))
  t.same(config.listen, ['tcp!127.0.0.1!1', 'unix!/x'])
})

t.test('what cannot be meant names the file, the line and the key', async t => {
  const rows: readonly (readonly [string, RegExp])[] = [
    ['model: a\nslot: 3\n', /^FILE:2: slot: unknown key \(did you mean slots\?\)$/],
    ['engine:\n  kind: echo\n  rte: 3\n', /^FILE:3: engine\.rte: unknown key \(did you mean engine\.rate\?\)$/],
    ['colour: red\n', /^FILE:1: colour: unknown key; known are model, slots, /],
    ['\n\nslots: many\n', /^FILE:3: slots: expected number.*not "many"$/],
    ['slots: 0\n', /^FILE:1: slots: .*>=1.*not 0$/],
    ['slots: 2.5\n', /^FILE:1: slots: expected int.*not 2\.5$/],
    ['slots:\n', /^FILE:1: slots: expected number.*not null$/],
    [
      'engine: echo\n',
      /^FILE:1: engine: must hold keys with values, such as "engine: kind"|^FILE:1: engine: must hold/,
    ],
    ['engine: {kind: ecko}\n', /^FILE:1: engine\.kind: .*not "ecko" \(did you mean echo\?\)$/],
    ['listen: tcp!1!2\n', /^FILE:1: listen: expected array/],
    ['- a\n', /^FILE:1: the file must hold keys/],
    ['model: a\nslots: [1\n', /^FILE:[23]: /],
    ['slots: 1\nslots: 2\n', /^FILE:2: .*unique/],
  ]
  for (const [text, expected] of rows) t.match(refusal(text), expected, JSON.stringify(text))
})

t.test('a variable or flag that cannot be meant is named', async t => {
  t.throws(() => loadConfig({ LLAMBO_SLOTS: 'x' }, {}, yaml('')), {
    message: /^LLAMBO_SLOTS: slots: expected number/,
    code: 2,
  })
  t.throws(() => loadConfig({}, { slots: 999 }, yaml('')), { message: /^--slots: .*not 999$/, code: 2 })
})

t.test('every initial value is one that the file would accept', async t => {
  for (const [key, { schema, initial }] of Object.entries(settings)) {
    if (initial !== undefined) t.ok(schema.safeParse(initial).success, key)
  }
})
