/** Tests the real engine in a server process: invalid model files, and the cache of a conversation. */
import { copyFileSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { parseRecords } from '../../fs/base/quote.js'
import { checkout, Home } from './fixture.js'

const bundled = join(checkout, 'models', 'llambo-tiny.gguf')

/** A GGUF header: magic, version, number of tensors, number of keys, and what follows. */
function gguf(tensors: bigint, keys: bigint, rest: Buffer = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(24)
  head.write('GGUF')
  head.writeUInt32LE(3, 4)
  head.writeBigUInt64LE(tensors, 8)
  head.writeBigUInt64LE(keys, 16)
  return Buffer.concat([head, rest])
}

/** A file of 60 bytes with one key, whose value is an array of 2^40 elements. */
function endlessArray(): Buffer {
  const key = Buffer.alloc(36)
  key.writeBigUInt64LE(12n, 0)
  key.write('some.list.of', 8)
  key.writeUInt32LE(9, 20)
  key.writeUInt32LE(4, 24)
  key.writeBigUInt64LE(1n << 40n, 28)
  return gguf(0n, 1n, key)
}

t.test('an invalid model file is refused with its fault, and the worker lives', async t => {
  const home = new Home(t, { LLAMBO_ENGINE: 'llama' })
  const models = join('.local', 'share', 'llambo', 'models')
  mkdirSync(home.path(models), { recursive: true })
  const whole = readFileSync(bundled)
  const other = Buffer.from(whole)
  // an unknown general.architecture, of the same length as "llama"
  const at = other.indexOf('llama', other.indexOf('general.architecture') + 20)
  other.write('zebra', at)
  const files: [string, Buffer, RegExp][] = [
    ['endless', gguf(0n, 1n << 40n), /model file is damaged: .*keys/],
    ['array', endlessArray(), /model file is damaged: .*(array|elements)/],
    ['cut', whole.subarray(0, 1_000_000), /model file is damaged: tensor .* past the end of the file/],
    ['other', other, /zebra/],
    ['text', Buffer.from('a model? no, a letter to grandmother'), /model file is damaged: /],
    ['empty', Buffer.alloc(0), /model file is damaged: /],
  ]
  await home.up()
  for (const [name, content, error] of files) {
    home.file(join(models, `${name}.gguf`), content)
    const { code, stderr } = await home.ctl('write', 'ctl', `load ${name}`)
    t.equal(code, 1, name)
    t.match(stderr, error, `${name}: ${stderr.trim()}`)
    t.match((await home.ctl('cat', 'error')).stdout, error)
  }
  const { stdout } = await home.ctl('rdwr', 'data', 'What is AI?')
  t.match(stdout, /^AI is artificial intelligence/, 'the previous model still answers')
  copyFileSync(bundled, home.path(models, 'good.gguf'))
  t.equal((await home.ctl('write', 'ctl', 'load good')).code, 0)
  t.match((await home.ctl('status')).stdout, /name=good .*loaded=yes/)
})

t.test('a second turn finds the first in the cache, and status shows how much of it', async t => {
  const home = new Home(t, { LLAMBO_ENGINE: 'llama' })
  await home.up()
  const id = (await home.ctl('cat', 'session/clone')).stdout.trim()
  const attrs = async () => parseRecords((await home.ctl('cat', `session/${id}/status`)).stdout)[0]!.attrs
  t.match((await home.ctl('rdwr', `session/${id}/data`, 'My name is Ann.')).stdout, /Ann/)
  const first = await attrs()
  t.equal(first.reused_tokens, '0')
  t.match((await home.ctl('rdwr', `session/${id}/data`, 'What is my name?')).stdout, /Ann/)
  const second = await attrs()
  const evaluated = Number(second.prompt_tokens) - Number(second.reused_tokens)
  t.ok(Number(second.reused_tokens) >= Number(first.prompt_tokens), `${second.reused_tokens} tokens reused`)
  t.ok(evaluated < Number(second.prompt_tokens) / 2, `${evaluated} of ${second.prompt_tokens} evaluated`)
})
