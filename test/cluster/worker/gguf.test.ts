/** Tests of the check of model files. */
import { execFileSync } from 'node:child_process'
import { readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import t from 'tap'
import { FsError } from '../../../api/errors.js'
import { architectures } from '../../../cluster/worker/architectures.js'
import { loadLibrary } from '../../../cluster/worker/engine/llama/library.js'
import { checkGguf, checkModel } from '../../../cluster/worker/gguf.js'
import { architecture, gguf, key, type Parts, str, tensor, u16, u32, u64 } from './ggufBytes.js'

const bundled = fileURLToPath(new URL('../../../../models/llambo-tiny.gguf', import.meta.url))
const dir = t.testdir()
let files = 0

/** Writes a new file with these bytes. @returns its path */
function file(bytes: Buffer): string {
  const path = join(dir, `${++files}.gguf`)
  writeFileSync(path, bytes)
  return path
}

/** The result of the check: the text of the error, or `ok`. */
const verdict = (bytes: Buffer) =>
  checkGguf(file(bytes)).then(
    () => 'ok',
    e => (e instanceof FsError && e.is('badModel') ? e.message : Promise.reject(e)),
  )

t.test('the bundled model passes, and its summary is right', async t => {
  t.match(await checkGguf(bundled), {
    version: 3,
    tensors: 47,
    architecture: 'llama',
    type: 'model',
    name: 'llambo-tiny',
    context: 1024,
    size: 2840000,
  })
})

t.test('a small file built by hand passes in versions 2 and 3', async t => {
  t.same(await checkGguf(file(gguf())), {
    version: 3,
    tensors: 2,
    architecture: 'llama',
    type: 'model',
    name: 'Test',
    context: 1024,
    size: gguf().length,
  })
  t.equal(await verdict(gguf({ version: 2 })), 'ok')
})

t.test('the padding after the last tensor may be missing', async t => {
  t.equal(await verdict(gguf({ data: 196 })), 'ok')
  t.equal(await verdict(gguf({ data: 400 })), 'ok', 'more data after it is allowed')
})

const keys = (...more: Buffer[]): Parts => ({ keys: [architecture, ...more] })
const broken: [what: string, bytes: Buffer, rule: RegExp][] = [
  ['an empty file', Buffer.alloc(0), /0 bytes, a GGUF file has at least 24/],
  ['four bytes with the magic GGUF', Buffer.from('GGUF'), /4 bytes/],
  ['another format', gguf({ magic: 'GGML' }), /does not begin with GGUF/],
  ['version 1', gguf({ version: 1 }), /version 1 is not supported, only 2 and 3/],
  ['version 4', gguf({ version: 4 }), /version 4/],
  ['a big-endian file', gguf({ version: 0x03000000 }), /big-endian/],
  [
    '24 bytes that claim 2^40 keys',
    Buffer.concat([Buffer.from('GGUF'), u32(3), u64(0), u64(1n << 40n)]),
    /1099511627776 keys/,
  ],
  [
    '60 bytes with an array of 2^40 elements',
    Buffer.concat([
      Buffer.from('GGUF'),
      u32(3),
      u64(0),
      u64(1),
      str('a.12345678'),
      u32(9),
      u32(4),
      u64(1n << 40n),
      u16(0),
    ]),
    /1099511627776 elements/,
  ],
  ['more keys than fit in the file', gguf({ keyCount: 65000 }), /65000 keys do not fit/],
  ['more tensors than fit in the file', gguf({ tensorCount: 65000 }), /65000 tensors do not fit/],
  ['2^63 tensors', gguf({ tensorCount: 1n << 63n }), /9223372036854775808 tensors/],
  [
    'a key longer than the file',
    gguf({ keys: [Buffer.concat([u64(1n << 62n), Buffer.from('key')])] }),
    /string of 4611686018427387904 bytes/,
  ],
  ['a key that ends after the file', gguf({ keys: [u64(60000)], data: 0, tensors: [] }), /inside key 0|do not fit/],
  ['an empty key', gguf(keys(key.string('', 'x'))), /key 1 is empty/],
  ['one key twice', gguf(keys(architecture)), /key 1 \(general.architecture\) is a duplicate/],
  ['an unknown value type', gguf(keys(Buffer.concat([str('x'), u32(13), u64(0)]))), /type 13/],
  ['an array of arrays', gguf(keys(key.array('x', 9, 1))), /array of arrays/],
  ['an array of an unknown type', gguf(keys(key.array('x', 77, 1, u64(0)))), /type 77/],
  ['an array of more strings than there are bytes left', gguf(keys(key.array('x', 8, 1 << 20))), /1048576 elements/],
  ['an array whose size overflows 64 bits', gguf(keys(key.array('x', 12, (1n << 61n) + 1n))), /elements/],
  [
    'a string in an array longer than the file',
    gguf(keys(key.array('x', 8, 1, u64(1n << 50n)))),
    /needs 1125899906842624 bytes/,
  ],
  [
    'a value longer than the file',
    gguf(keys(Buffer.concat([str('x'), u32(8), u64(1n << 50n)]))),
    /needs 1125899906842624 bytes/,
  ],
  ['no architecture', gguf({ keys: [key.string('general.name', 'x')] }), /general.architecture is missing/],
  ['an architecture that is a number', gguf({ keys: [key.u32('general.architecture', 3)] }), /type 4, not 8/],
  [
    'another architecture',
    gguf({ keys: [key.string('general.architecture', 'mystery')] }),
    /"mystery" is not one this llama.cpp knows/,
  ],
  [
    'an architecture with a terminal escape',
    gguf({ keys: [key.string('general.architecture', '\x1b[2J')] }),
    /"\?\[2J"/,
  ],
  ['alignment 0', gguf(keys(key.u32('general.alignment', 0))), /alignment 0 is not a power of two/],
  ['alignment 48', gguf(keys(key.u32('general.alignment', 48))), /alignment 48 is not a power of two/],
  ['alignment 2^31', gguf(keys(key.u32('general.alignment', 2 ** 31))), /alignment 2147483648, at most/],
  ['an alignment of another type', gguf(keys(key.string('general.alignment', '32'))), /type 8, not 4/],
  ['no tensors', gguf({ tensors: [] }), /no tensors/],
  [
    'one tensor twice',
    gguf({ tensors: [tensor('a', [32], 0, 0), tensor('a', [32], 0, 128)] }),
    /tensor 1 \(a\) is a duplicate/,
  ],
  [
    'a tensor name of 64 bytes',
    gguf({ tensors: [tensor('x'.repeat(64), [32], 0, 0)] }),
    /string of 64 bytes, at most 63/,
  ],
  ['five dimensions', gguf({ tensors: [tensor('a', [1, 1, 1, 1, 1], 0, 0)] }), /tensor 0 has 5 dimensions/],
  [
    'elements that overflow',
    gguf({ tensors: [tensor('a', [1n << 32n, 1n << 32n], 0, 0)] }),
    /more than 2\^63 elements/,
  ],
  [
    'an overflow hidden by a zero',
    gguf({ tensors: [tensor('a', [0, 1n << 62n, 1n << 62n], 0, 0)] }),
    /more than 2\^63 elements/,
  ],
  ['an unknown tensor type', gguf({ tensors: [tensor('a', [32], 99, 0)] }), /type 99/],
  ['a withdrawn tensor type', gguf({ tensors: [tensor('a', [32], 4, 0)] }), /type 4/],
  [
    'rows that are not whole blocks',
    gguf({ tensors: [tensor('a', [33], 8, 0)] }),
    /rows of 33 elements, not a multiple of 32/,
  ],
  [
    'tensors that overlap',
    gguf({ tensors: [tensor('a', [32], 0, 0), tensor('b', [32], 0, 64)] }),
    /tensor 1 is at 64, expected at 128/,
  ],
  ['a tensor far beyond the end of the file', gguf({ tensors: [tensor('a', [32], 0, 1n << 50n)] }), /expected at 0/],
  ['a file that lacks its last 120 bytes', gguf({ data: 76 }), /tensor 1 ends 120 bytes past the end of the file/],
  [
    'a tensor larger than any file',
    gguf({ tensors: [tensor('a', [1n << 60n], 0, 0)] }),
    /tensor 0 ends \d+ bytes past the end/,
  ],
]
for (const [what, bytes, rule] of broken) {
  t.test(`${what} is refused with the rule it breaks`, async t => {
    const said = await verdict(bytes)
    t.match(said, /^model file is damaged: /)
    t.match(said, rule)
  })
}

t.test('a good file cut short anywhere is refused', async t => {
  const whole = gguf()
  for (let length = 0; length < whole.length; length++) {
    t.match(await verdict(whole.subarray(0, length)), /damaged/, `${length} of ${whole.length} bytes`)
  }
})

t.test('the bundled model cut short by one byte is refused', async t => {
  const path = file(readFileSync(bundled))
  truncateSync(path, 2840000 - 1)
  await t.rejects(checkGguf(path), { message: /tensor 46 ends 1 bytes past the end of the file/, errno: 74 })
})

t.test('a missing file, a directory and a named pipe fail at once', async t => {
  await t.rejects(checkGguf(join(dir, 'none.gguf')), { message: 'file does not exist: none.gguf', errno: 2 })
  await t.rejects(checkGguf(dir), { message: /not a regular file/ })
  const pipe = join(dir, 'pipe.gguf')
  execFileSync('mkfifo', [pipe])
  await t.rejects(checkGguf(pipe), { message: /not a regular file/ })
})

t.test('a check can be interrupted', async t => {
  const reason = new Error('enough')
  await t.rejects(checkGguf(bundled, AbortSignal.abort(reason)), reason)
})

t.test('a large header is read in small pieces, in time, with the event loop turning', async t => {
  // 300,000 strings of 20 bytes and as many floats: a header of 9.6 MB, as the largest vocabularies have
  const words = Buffer.concat(Array.from({ length: 300_000 }, (_, i) => str(`token-${i}`.padEnd(20, '.'))))
  const path = file(
    gguf(
      keys(
        key.array('tokenizer.ggml.tokens', 8, 300_000, words),
        key.array('tokenizer.ggml.scores', 6, 300_000, Buffer.alloc(1_200_000)),
      ),
    ),
  )
  let turns = 0
  let stop = false
  const turn = () => {
    turns++
    if (!stop) setImmediate(turn)
  }
  turn()
  const began = performance.now()
  await checkGguf(path)
  const took = performance.now() - began
  stop = true
  t.comment(`${took.toFixed(1)} ms, ${turns} turns of the event loop`)
  t.ok(turns >= 20, `${turns} turns`)
})

t.test('the time does not depend on the size of the tensors', async t => {
  // a sparse file of 64 GiB
  const header = gguf({ tensors: [tensor('a', [1n << 36n], 24, 0)], data: 0 })
  const path = file(header)
  truncateSync(path, header.length + 2 ** 36)
  const began = performance.now()
  await checkGguf(path)
  t.ok(performance.now() - began < 10_000, 'reading the file would take longer')
})

t.test('a header that is too long is given up at its bound', async t => {
  const path = file(
    gguf({ ...keys(Buffer.concat([str('x'), u32(8), u64(2 ** 27)])), tensorCount: 1, tensors: [], data: 0 }),
  )
  truncateSync(path, 2 ** 28)
  await t.rejects(checkGguf(path), { message: /its header has over 67108864 bytes, in key 1 \(x\)/ })
})

t.test('random changes never make the check hang, crash or use much memory', async t => {
  const real = readFileSync(bundled)
  const path = file(real)
  const values = fc.oneof(
    fc.uint8Array({ minLength: 1, maxLength: 8 }),
    fc.constantFrom(u64(1n << 40n), u64(2n ** 63n), u64(2n ** 64n - 1n), u32(9), u64(65_000), u64(0)),
  )
  let passed = 0
  const before = process.memoryUsage().arrayBuffers
  let most = 0
  await fc.assert(
    fc.asyncProperty(
      // the header is the first 47 kB; most of the important fields are at its beginning and end
      fc.array(fc.tuple(fc.oneof(fc.nat(1500), fc.integer({ min: 44_000, max: 48_000 }), fc.nat(48_000)), values), {
        minLength: 1,
        maxLength: 3,
      }),
      async changes => {
        const bytes = Buffer.from(real)
        for (const [at, value] of changes) bytes.set(value, at)
        writeFileSync(path, bytes)
        const began = performance.now()
        if ((await verdictOf(path)) === 'ok') passed++
        most = Math.max(most, process.memoryUsage().arrayBuffers - before)
        return performance.now() - began < 10_000
      },
    ),
    { numRuns: 300 },
  )
  t.comment(`${passed} of 300 still pass (changed text), at most ${(most / 2 ** 20).toFixed(1)} MiB of buffers`)
  t.ok(most < 64 * 2 ** 20)

  function verdictOf(path: string) {
    return checkGguf(path).then(
      () => 'ok',
      e => (e instanceof FsError && e.is('badModel') ? e.message : Promise.reject(e)),
    )
  }
})

t.test('the list of architectures contains all that node-llama-cpp knows', async t => {
  // a const enum: TypeScript does not know that it exists at run time
  const theirs: object = (await loadLibrary())['GgufArchitectureType' as never]
  for (const name of Object.values(theirs)) {
    if (name !== '(unknown)') t.ok(architectures.has(name), name)
  }
})

t.test('an adapter or a projector may be stored but not loaded as a model', async t => {
  const adapter = file(gguf(keys(key.string('general.type', 'adapter'))))
  t.equal((await checkGguf(adapter)).type, 'adapter')
  await t.rejects(checkModel(adapter), { message: /not a model but an adapter/ })
  const projector = file(gguf({ keys: [key.string('general.architecture', 'clip')] }))
  await t.rejects(checkModel(projector), { message: /not a model but a projector/ })
  t.equal((await checkModel(bundled)).tensors, 47)
})

t.test('all parts of a split model are checked', async t => {
  const part = (no: number, of: number) => [key.u16('split.no', no), key.u16('split.count', of)]
  const place = (name: string, bytes: Buffer) => {
    writeFileSync(join(dir, name), bytes)
    return join(dir, name)
  }
  const first = place('s-00001-of-00002.gguf', gguf(keys(...part(0, 2))))
  await t.rejects(checkModel(first), { message: 'file does not exist: s-00002-of-00002.gguf' })
  const second = place('s-00002-of-00002.gguf', gguf({ keys: part(1, 2) }))
  t.same((await checkModel(first)).part, { number: 1, of: 2 })
  t.same((await checkGguf(second)).part, { number: 2, of: 2 })
  await t.rejects(checkModel(second), { message: /this is part 2 of 2; load part 1/ })
  place('s-00002-of-00002.gguf', gguf({ keys: part(1, 2), data: 0 }))
  await t.rejects(checkModel(first), { message: /past the end of the file/ })
  await t.rejects(checkModel(file(gguf(keys(...part(0, 2))))), { message: /must be called NAME-00001-of-00002.gguf/ })
})
