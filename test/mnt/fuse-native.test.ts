/** Mounts by the second driver, the package fuse-native. */
import t from 'tap'
import { bench, noFuse, sh, until } from './fixture.js'

/** The reason why these tests cannot run: few machines have the optional package and libfuse 2. */
async function missing(): Promise<string> {
  const none = await noFuse()
  if (none) return none
  const name = 'fuse-native'
  return import(name).then(
    () => '',
    (error: Error) => `cannot load the driver fuse-native: ${error.message.split('\n')[0]}`,
  )
}

const skip = await missing()
if (skip) t.comment(`skipped: ${skip}`)
const options = skip ? { skip } : {}

t.test('fuse-native: ls, cat, echo and other programs work as with our own driver', options, async t => {
  const { n, seen } = await bench(t, { driver: 'fuse-native' })
  t.match(await sh(`ls ${n}/many | wc -l`), { code: 0, out: '1000\n', err: '' })
  t.match(await sh(`stat -c '%F %s %a' ${n}/memory`), { code: 0, out: 'regular file 10 666\n' })
  t.match(await sh(`cat ${n}/status`), { code: 0, out: 'user root uid 0\n', err: '' })
  t.match(await sh(`echo hello > ${n}/data; cat ${n}/data`), { code: 0, out: 'answer to hello\n', err: '' })
  t.match(await sh(`exec 3<>${n}/data; echo hi >&3; cat <&3`), { code: 0, out: 'answer to hi\n', err: '' })
  t.match(await sh(`head -c 200000 /dev/zero | tr '\\0' a | cat > ${n}/sink`), { code: 0, err: '' })
  await until(() => seen.closes > 0)
  t.same([seen.opens, seen.uploads.map(u => u.length)], [1, [200_000]])
  t.match(await sh(`cd ${n}/folder; echo 1 > a; mkdir d; mv a b; cat b; ls; rm b; rmdir d; ls`), {
    code: 0,
    out: '1\nb\nd\n',
    err: '',
  })
  t.match(await sh(`/bin/echo x > ${n}/full`), { code: 1, err: /No space left/ })
  t.match(await sh(`cat ${n}/nothing`), { code: 1, err: /No such file/ })
  t.match(await sh(`df ${n}`), { code: 0 })
})

t.test('fuse-native: a read returns the first word before the rest is generated', options, async t => {
  const { n } = await bench(t, { driver: 'fuse-native', gap: 100 })
  await sh(`echo one two three four > ${n}/data`)
  const { out } = await sh(`dd if=${n}/data bs=64k count=1 2>/dev/null`)
  t.equal(out, 'answer ')
})

t.test('fuse-native: --allow-other is refused, because the driver cannot tell users apart', options, async t => {
  await t.rejects(bench(t, { driver: 'fuse-native', allowOther: true }), { message: /cannot tell users apart/ })
})
