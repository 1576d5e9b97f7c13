/** Tests the configuration of a server: precedence, errors, classes and bounds. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import t from 'tap'
import { loadConfig } from '../../cli/config.js'
import { exitCode, type Failure } from '../../cli/exit.js'
import { settings } from '../../cli/settings.js'
import { classesOf, configOf } from '../../ctl/server/classes.js'

const dir = mkdtempSync(join(tmpdir(), 'llambo-config-'))
t.teardown(() => rmSync(dir, { recursive: true }))
let files = 0
const yaml = (text: string): string => {
  const path = join(dir, `${files++}.yaml`)
  writeFileSync(path, text)
  return path
}

/** The message of the usage error for a configuration file, with FILE in place of its path. */
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

t.test('a flag overrides the environment, which overrides the file, which overrides the default', async t => {
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

t.test('an empty variable or an empty file counts as absent', async t => {
  t.equal(loadConfig({ LLAMBO_SLOTS: '' }, {}, yaml('# nothing\n')).config.slots, 4)
})

t.test('the file in the configuration directory may be missing, a named file may not', async t => {
  t.equal(loadConfig({ XDG_CONFIG_HOME: join(dir, 'none') }).config.slots, 4)
  t.throws(() => loadConfig({}, {}, join(dir, 'none.yaml')), { message: /none\.yaml: file does not exist/, code: 2 })
})

t.test('a list in a variable is split into words', async t => {
  const { config } = loadConfig({ LLAMBO_LISTEN: 'tcp!127.0.0.1!1, unix!/x' }, {}, yaml(''))
  t.same(config.listen, ['tcp!127.0.0.1!1', 'unix!/x'])
})

t.test('an error in the file names the file, the line and the key', async t => {
  const rows: readonly (readonly [string, RegExp])[] = [
    ['model: a\nslot: 3\n', /^FILE:2: slot: unknown key \(did you mean slots\?\)$/],
    ['engine:\n  kind: echo\n  rte: 3\n', /^FILE:3: engine\.rte: unknown key \(did you mean engine\.rate\?\)$/],
    ['colour: red\n', /^FILE:1: colour: unknown key; keys: model, slots, /],
    ['constructor: 1\n', /^FILE:1: constructor: unknown key/],
    ['__proto__: {slots: 3}\n', /^FILE:1: __proto__: unknown key/],
    ['\n\nslots: many\n', /^FILE:3: slots: expected a whole number from 1 to 256, not "many"$/],
    ['slots: 0\n', /^FILE:1: slots: expected a whole number from 1 to 256, not 0$/],
    ['slots: 2.5\n', /^FILE:1: slots: expected a whole number from 1 to 256, not 2\.5$/],
    ['slots:\n', /^FILE:1: slots: expected a whole number from 1 to 256, not null$/],
    [
      'engine: echo\n',
      /^FILE:1: engine: must hold keys with values, such as "engine: kind"|^FILE:1: engine: must hold/,
    ],
    ['engine: {kind: ecko}\n', /^FILE:1: engine\.kind: .*not "ecko" \(did you mean echo\?\)$/],
    [
      'listen:\n- a\n- 5640\n',
      /^FILE:1: listen\[1\]: expected 1 to 4096 printable characters, not 5640; put it in quotes$/,
    ],
    ['model: 1.10\n', /^FILE:1: model: expected 1 to 4096 printable characters, not 1\.1; put it in quotes$/],
    ['listen: tcp!1!2\n', /^FILE:1: listen: expected a list of up to 1000 words, not/],
    ['- a\n', /^FILE:1: the file must hold keys/],
    ['model: a\nslots: [1\n', /^FILE:[23]: /],
    ['slots: 1\nslots: 2\n', /^FILE:2: .*unique/],
  ]
  for (const [text, expected] of rows) t.match(refusal(text), expected, JSON.stringify(text))
})

t.test('an error in a variable or flag names it', async t => {
  t.throws(() => loadConfig({ LLAMBO_SLOTS: 'x' }, {}, yaml('')), {
    message: /^LLAMBO_SLOTS: slots: expected a whole number/,
    code: 2,
  })
  t.throws(() => loadConfig({}, { slots: 999 }, yaml('')), { message: /^--slots: .*not 999$/, code: 2 })
})

t.test('every default is a value that the file would accept', async t => {
  for (const [key, { kind, initial }] of Object.entries(settings)) {
    if (initial !== undefined) t.same(kind(initial as never, key), initial, key)
  }
})

t.test('classes define the model, slots, memory and cores of workers', async t => {
  const file = yaml(`slots: 8
engine: {threads: 2}
classes:
  tiny: {model: llama-1b, slots: 2, memory: 128MiB, cores: 0.1}
  medium:
    model: ./m.gguf
    memory: 1.5 GiB
    cores: 2.9
  whole: {memory: 4096, type: code}
`)
  const { config, origins } = loadConfig({}, {}, file)
  t.equal(origins.classes, `${file}:3`)
  const classes = classesOf(config)
  t.same(classes, [
    { name: 'default', model: 'llambo-tiny', slots: 8, memory: 0, cores: 0 },
    { name: 'tiny', model: 'llama-1b', slots: 2, memory: 128 * 2 ** 20, cores: 0.1 },
    { name: 'medium', model: resolve('m.gguf'), slots: 8, memory: 1.5 * 2 ** 30, cores: 2.9 },
    { name: 'whole', model: 'llambo-tiny', slots: 8, memory: 4096, cores: 0, type: 'code' },
  ])
  const of = classes.map(one => configOf(config, one))
  t.same(
    of.map(({ model, slots, 'engine.threads': threads }) => [model, slots, threads]),
    [
      ['llambo-tiny', 8, 2],
      ['llama-1b', 2, 1],
      [resolve('m.gguf'), 8, 2],
      ['llambo-tiny', 8, 2],
    ],
    'a class has a thread for each whole core and at least one; without cores the setting of the engine',
  )
  t.notOk('listen' in of[0]!, 'a worker gets only the settings that concern it')
})

t.test('a class has its own context and KV cache type, or those of the engine settings', async t => {
  const text = 'engine: {context: 4096}\nclasses: {long: {context: 65536, kv_type: q8_0}, plain: {}}\n'
  const { config } = loadConfig({}, {}, yaml(text))
  const [first, long, plain] = classesOf(config).map(one => configOf(config, one))
  t.match(first, { 'engine.context': 4096, 'engine.kv_type': 'f16' })
  t.match(long, { 'engine.context': 65_536, 'engine.kv_type': 'q8_0' })
  t.match(plain, { 'engine.context': 4096, 'engine.kv_type': 'f16' })
})

t.test('the model of a class at an OpenAI server is the one that it names, or none', async t => {
  const { config } = loadConfig(
    {},
    { model: 'none' },
    yaml('engine: {kind: openai, model: big}\nclasses: {s: {model: small}}\n'),
  )
  const [plain, small] = classesOf(config)
  t.match(plain, { model: undefined })
  t.match(configOf(config, plain!), { model: 'none' })
  t.match(configOf(config, small!), { 'engine.model': 'small' })
  const set = { ...config, model: 'x' }
  t.match(configOf(set, classesOf(set)[0]!), { 'engine.model': 'big' })
})

t.test('an error in a class names the file, the line and the key', async t => {
  const sizes = 'expected a number of bytes, or a number with KiB, MiB, GiB or TiB'
  const rows: readonly (readonly [string, string])[] = [
    ['classes:\n  a: {}\n  b:\n    slot: 3\n', 'FILE:4: classes.b.slot: unknown key (did you mean slots?)'],
    [
      'classes: {a: {colour: 1}}',
      'FILE:1: classes.a.colour: unknown key; keys: model, type, slots, context, kv_type, engine, url, key_file, timeout, prefer, workers, memory, cores',
    ],
    ['classes: {a: {context: 8}}', 'FILE:1: classes.a.context: expected a whole number from 256 to 16777216, not 8'],
    ['classes:\n  a:\n    slots: 0\n', 'FILE:3: classes.a.slots: expected a whole number from 1 to 256, not 0'],
    ['classes:\n  a:\n    model:\n', 'FILE:3: classes.a.model: expected 1 to 4096 printable characters, not null'],
    ['classes:\n  a:\n    cores: -1\n', 'FILE:3: classes.a.cores: expected a number from 0 to 1024, not -1'],
    ['classes:\n  a:\n    memory: 12MB\n', `FILE:3: classes.a.memory: ${sizes}, not "12MB"`],
    ['classes:\n  a:\n    memory: -1\n', `FILE:3: classes.a.memory: ${sizes}, not -1`],
    ['classes:\n  a:\n    memory: 9999999TiB\n', `FILE:3: classes.a.memory: ${sizes}, not "9999999TiB"`],
    ['classes:\n  a:\n    memory: [1]\n', `FILE:3: classes.a.memory: ${sizes}, not a list`],
    ['classes:\n\n  A: {}\n', 'FILE:3: classes.A: expected up to 64 of a-z, 0-9, ., _ and - as the name of a class'],
    [
      'classes: {default: {}}',
      'FILE:1: classes.default: class default is made from model, slots and engine; choose another name',
    ],
    ['classes:\n  a: 3\n', 'FILE:2: classes.a: expected keys with values, not 3'],
    ['classes: [a]\n', 'FILE:1: classes: expected keys with values, not a list'],
  ]
  for (const [text, expected] of rows) t.equal(refusal(text), expected, JSON.stringify(text))
})

t.test('classes in a variable are read as in the file, and text that is not YAML is refused as text', async t => {
  const { config } = loadConfig({ LLAMBO_CLASSES: '{a: {slots: 3, memory: 1KiB}}' }, {}, yaml(''))
  t.same(config.classes, { a: { slots: 3, memory: 1024 } })
  t.throws(() => loadConfig({ LLAMBO_CLASSES: '{a: {slots: x}}' }, {}, yaml('')), {
    message: /^LLAMBO_CLASSES: classes\.a\.slots: expected a whole number/,
  })
  t.throws(() => loadConfig({ LLAMBO_SLOTS: '[' }, {}, yaml('')), {
    message: /^LLAMBO_SLOTS: slots: .*not "\["$/,
    code: 2,
  })
})

t.test('a file that would take the parser long, or crash the process, is refused before it is parsed', async t => {
  const deep = /^FILE:1: lists and keys nested more than 16 deep$/
  const rows: readonly (readonly [string, RegExp])[] = [
    [`model: ${'['.repeat(17)}${']'.repeat(17)}`, deep],
    [`${'{a: '.repeat(17)}`, deep],
    ['- '.repeat(17), deep],
    ['? '.repeat(17), deep],
    [`# ${'x'.repeat(40_000)}`, /^FILE:1: 40002 characters, at most 32768$/],
    ['x'.repeat(200_000), /^file too large: FILE: at most 131072 bytes$/],
    // with ten nested references, each stands for ten of the one before it
    ['names: &a [x, x]\nlisten: [*a, *a]\n', /^FILE:2: \*a: aliases are not supported; write the value itself$/],
    [`model: ${'x'.repeat(5000)}\n`, /^FILE:1: model: expected 1 to 4096 printable characters, not "x{39}…"$/],
    ['model: "a\\u001bb"\n', /^FILE:1: model: expected 1 to 4096 printable characters, not "a\ufffdb"$/],
    [`names: [${'a, '.repeat(1001)}]\n`, /^FILE:1: names: expected a list of up to 1000 words, not a list$/],
  ]
  for (const [text, expected] of rows) t.match(refusal(text), expected, text.slice(0, 60))
  t.equal(refusal(`${'# a comment of many letters\n'.repeat(1000)}slots: 2\n`), 'accepted')
  t.throws(() => loadConfig({ LLAMBO_CLASSES: '['.repeat(30_000) }, {}, yaml('')), {
    message: /^LLAMBO_CLASSES: classes: expected keys with values, not "\[{39}…"$/,
    code: 2,
  })
  t.throws(() => loadConfig({ LLAMBO_MODEL: 'x'.repeat(5000) }, {}, yaml('')), {
    message: /^LLAMBO_MODEL: model: expected 1 to 4096 printable characters/,
    code: 2,
  })
  t.throws(() => loadConfig({}, {}, '/dev/zero'), { message: /\/dev\/zero: at most 131072 bytes/, code: 2 })
})
