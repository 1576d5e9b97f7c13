/** A mount under load: large directories, large files and many programs at once. */
import { createHash } from 'node:crypto'
import { stat } from 'node:fs/promises'
import t from 'tap'
import { BIG, bench, noFuse, sh } from './fixture.js'

const skip = await noFuse()
if (skip) t.comment(`skipped: ${skip}`)
const options = skip ? { skip } : {}

t.test('directories of 1,000 and of 100,000 files are listed completely', options, async t => {
  const { n } = await bench(t)
  t.match(await sh(`ls -l ${n}/many | wc -l`), { out: '1001\n' })
  t.match(await sh(`find ${n}/many -type f | sort | uniq | wc -l`), { out: '1000\n' })
  const { out, ms } = await sh(`ls -f ${n}/lots | sort -u | wc -l`)
  t.equal(out, '100002\n')
  t.comment(`100,000 entries in ${ms.toFixed()} ms`)
  t.ok((await stat(`${n}/lots/f99999`)).isFile())
})

t.test('200 threads that write and read a descriptor each get their own answers', options, async t => {
  const { n } = await bench(t)
  const script = `
import os, threading
bad = []
def one(i):
  fd = os.open('${n}/data', os.O_RDWR)
  os.write(fd, b'prompt %d' % i)
  got = b''
  while True:
    part = os.read(fd, 65536)
    if not part: break
    got += part
  os.close(fd)
  if got[-20:] != (b'answer to prompt %d\\n' % i)[-20:]: bad.append((i, got))
threads = [threading.Thread(target=one, args=(i,)) for i in range(200)]
[x.start() for x in threads]; [x.join() for x in threads]
print(bad)`
  t.match(await sh(`python3 - <<'E'\n${script}\nE`), { code: 0, out: '[]\n', err: '' })
})

t.test('a close always reaches the server before the next open', options, async t => {
  const { n } = await bench(t)
  const { out } = await sh(
    `for i in $(seq 500); do echo p$i > ${n}/data; read -r a < ${n}/data; [ "$a" = "answer to p$i" ] && echo ok; done | wc -l`,
  )
  t.equal(out, '500\n', 'with a builtin echo')
  const { out: piped } = await sh(
    `for i in $(seq 100); do /bin/echo q$i | cat > ${n}/data; [ "$(cat ${n}/data)" = "answer to q$i" ] && echo ok; done | wc -l`,
  )
  t.equal(piped, '100\n', 'with other processes')
})

t.test('a large file is read correctly with any block size and from any offset', options, async t => {
  const { n } = await bench(t)
  const sum = (data: Uint8Array) => `${createHash('sha256').update(data).digest('hex')}  -\n`
  const whole = sum(BIG)
  const { out, ms } = await sh(`cat ${n}/big | sha256sum`)
  t.equal(out, whole)
  t.comment(`${(64_000 / ms).toFixed()} MB/s`)
  for (const size of ['4096', '100000', '1M'])
    t.equal((await sh(`dd if=${n}/big bs=${size} 2> /dev/null | sha256sum`)).out, whole, size)
  // from the middle; with a change of block size; by two readers of one descriptor
  t.equal((await sh(`tail -c 33554432 ${n}/big | sha256sum`)).out, sum(BIG.subarray(32 << 20)))
  const back = `(dd bs=1000 count=3; dd bs=128k count=2) < ${n}/big 2> /dev/null | sha256sum`
  t.equal((await sh(back)).out, sum(BIG.subarray(0, 3000 + 262144)))
  const { out: both } = await sh(`exec 3< ${n}/big; (cat <&3 & cat <&3; wait) | wc -c`)
  t.equal(both, `${64 << 20}\n`)
})
