/** Tries diod's own programs on our server, and our client, llamboctl and mount on diod. */

import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { Client, type Fid } from '../../fs/client/client.js'
import { getattr, readlink } from '../../fs/client/linux.js'
import { dial, listen } from '../../fs/dial.js'
import type { File } from '../../fs/file.js'
import { newQid } from '../../fs/file.js'
import { bytes, now } from '../../fs/kit/content.js'
import { dir } from '../../fs/kit/dir.js'
import { serve } from '../../fs/server/server.js'
import { OREAD, QTDIR, QTSYMLINK } from '../../fs/wire/protocol.js'
import { checkout, Home, llamboctl } from '../ctl/fixture.js'
import { bash, matches, outcome, reporter, Stage, same } from './stage.js'
import type { Report, Suite } from './table.js'
import { makeTree } from './tree.js'

const sha = (data: Uint8Array) => createHash('sha256').update(data).digest('hex')
const sorted = (text: string) => text.split('\n').filter(Boolean).sort().join('\n')

/** The names in every root (docs/files.md). */
const ROOT =
  'ctl data embed error events generate host metrics models namespace session status task usr worker-0001'.split(' ')
const BUNDLED = `${checkout}/models/llambo-tiny.gguf`

/** diod's clients on a llambo server. */
async function theirClients(stage: Stage, report: Report): Promise<void> {
  const home = new Home(stage)
  await home.up('--listen', 'tcp!127.0.0.1!0', '--listen', 'ws://127.0.0.1:0/9p')
  const socket = home.path('run', 'llambo', '9p')
  const client = await Client.connect(await dial(`unix!${socket}`))
  stage.teardown(() => client.close())
  const root = await client.attach({ uname: 'root', n_uname: 0 })
  const clone = await (await root.walk(['session', 'clone'])).open(OREAD)
  const session = new TextDecoder().decode(await clone.read(0, 100)).trim()
  const run = (program: string, args: string, at = `-s ${socket} -a /`, limit?: number) =>
    bash(`${program} ${at} ${args}`, {}, limit)

  const ls = reporter(report, 'diodls', '9P2000.L')
  await ls('the root', async () => same(sorted((await run('diodls', '')).out), ROOT.join('\n')))
  await ls('-l of the root: kinds, modes, owners', async () => {
    const { out, err } = await run('diodls', '-l')
    same(err, '')
    matches(out, /^-rw-rw-rw-\S* +1 root +\S+ +0 .* data$/m)
    matches(out, /^d\S+ +2 root .* models$/m)
    same(`${out.split('\n').length - 1}`, `${ROOT.length + 2}`, 'with . and ..,')
  })
  await ls('a directory, and its file’s size', async () => {
    const size = readFileSync(BUNDLED).length
    matches((await run('diodls', '-l models')).out, new RegExp(`^-r\\S+ .* ${size} .* llambo-tiny.gguf$`, 'm'))
  })
  await ls('a session', async () =>
    same(
      sorted((await run('diodls', `session/${session}`)).out),
      'ctl\ndata\ngenerate\nhistory\nlog\nstatus\nsystem\ntrace',
    ),
  )
  await ls('a worker’s part of the tree, by its attach name', async () =>
    matches((await run('diodls', '', `-s ${socket} -a /worker-0001`)).out, /^session$/m),
  )
  await ls('with messages of 4 KiB, a thousand entries', async () => {
    const many = await startTree(
      stage,
      dir(new Map(Array.from({ length: 1000 }, (_, i) => [`f${i}`, bytes('x', { owner })])), owner),
    )
    const { out } = await run('diodls', '-m 4096', `-s ${many.path} -a /`)
    same(
      sorted(out),
      Array.from({ length: 1000 }, (_, i) => `f${i}`)
        .sort()
        .join('\n'),
    )
  })
  await ls('a file that does not exist', async () =>
    matches(outcome(await run('diodls', 'nothing')), /nothing: No such file or directory/),
  )
  await ls('over TCP, where the server asks for a token', async () => {
    const port = /tcp!127\.0\.0\.1!(\d+)/.exec(readFileSync(home.path('run', 'llambo', 'server.json'), 'utf8'))![1]
    matches(
      outcome(await run('diodls', '', `-s 127.0.0.1:${port} -a /`)),
      /^exit 1\n.*error authenticating to server: Operation not permitted/,
    )
    return 'refused clearly: it authenticates with munge, and has no way to give a token'
  })

  const cat = reporter(report, 'diodcat', '9P2000.L')
  await cat('status', async () =>
    matches((await run('diodcat', 'status')).out, /^server name=\S+ kind=cluster .*\nmodel name=/),
  )
  await cat('several files', async () =>
    matches((await run('diodcat', 'namespace ctl')).out, /bind -a worker-0001\/models models\nstrategy \w+\n/),
  )
  for (const msize of [4096, 65536])
    await cat(`a model whole, with messages of ${msize / 1024} KiB`, async () =>
      matches(
        (await run(`sha256sum <(diodcat`, `-m ${msize} models/llambo-tiny.gguf) #`)).out,
        new RegExp(`^${sha(readFileSync(BUNDLED))} `),
      ),
    )
  await cat('the answer to a prompt', async () => {
    await home.ctl('write', 'data', 'red', 'green')
    same((await run('diodcat', 'data')).out, '0:red 1:green\n')
  })
  await cat('events: what there is, then the end', async () => {
    const { out, code } = await run('timeout 5 diodcat', 'events')
    matches(out, /^seq=1 .* kind=started/)
    same(`${code}`, '0')
  })
  await cat('event: what there is, then it waits', async () => {
    const { out, code } = await run('timeout 1 diodcat', 'event')
    matches(out, /^seq=1 .* kind=started/)
    same(`${code}`, '124')
  })
  await cat('a directory, a file that does not exist', async () => {
    matches(outcome(await run('diodcat', 'models')), /^exit 1\n.*Is a directory/)
    matches(outcome(await run('diodcat', 'nothing')), /^exit 1\n.*nothing: No such file or directory/)
  })
  await cat('ctl as a user without permission', async () =>
    matches(outcome(await run('diodcat', '-u 65534 ctl')), /^exit 1\n.*ctl: Permission denied/),
  )

  const load = reporter(report, 'diodload', '9P2000.L')
  const ctl = await startTree(stage, dir(new Map([['ctl', diodCtl()]]), owner))
  const rate = /(\d+) ops\/s/
  await load('16 threads copying from a file to a file of a tree made with fs/', async () => {
    const ran = await bash(`diodload -s ${ctl.path} -r 2`)
    if (!(Number(rate.exec(outcome(ran))?.[1]) > 0)) throw new Error(outcome(ran))
  })
  await load('16 threads asking for attributes there', async () => {
    const ran = await bash(`diodload -g -s ${ctl.path} -r 1`)
    if (!(Number(rate.exec(outcome(ran))?.[1]) > 0)) throw new Error(outcome(ran))
  })
  await load('on llambo’s own tree', async () => {
    matches(outcome(await bash(`diodload -s ${socket} -r 1 -n 2`)), /open zero: Not a directory/)
    return 'says what is missing: it copies from ctl/zero to ctl/null, and llambo’s ctl is a file'
  })

  const top = reporter(report, 'dtop', '9P2000.L')
  const screen = (port: string, live: string) =>
    bash(
      // presses q once the figure is there; dtop draws, so it has a terminal of its own
      `cd ${stage.dir}; mkfifo keys 2>/dev/null; script -qfec "stty rows 30 cols 100; dtop -h 127.0.0.1 -p ${port}" screen < keys > /dev/null 2>&1 & exec 3> keys
       until grep -aq "Live servers: ${live}" screen; do sleep 0.1; done 2>/dev/null; printf q >&3; wait $!; echo "ended $?"`,
      { TERM: 'xterm' },
    )
  await top('on a tree made with fs/ that has diod’s ctl/tpools, meminfo and connections', async () => {
    const tcp = await startTree(stage, dir(new Map([['ctl', diodCtl()]]), owner), 'tcp!127.0.0.1!0')
    matches(outcome(await screen(tcp.address.split('!')[2]!, '1.1')), /ended 0/)
  })
  await top('on llambo’s own tree', async () => {
    const open = new Home(stage)
    await open.up('--listen', 'tcp!127.0.0.1!0', '--listen', 'ws://127.0.0.1:0/9p', '--auth', 'none')
    const port = /tcp!127\.0\.0\.1!(\d+)/.exec(readFileSync(open.path('run', 'llambo', 'server.json'), 'utf8'))![1]!
    matches(outcome(await screen(port, '0.1')), /ended 0/)
    return 'shows no live server and ends at q: it reads diod’s figures, which llambo has in metrics and status'
  })
}

const owner = { name: 'root', uid: 0, gid: 0 }

/** The files that diod's own tools look for, as diod 1.0.24 writes them. */
function diodCtl(): File {
  const endless = (read: boolean): File => ({
    qid: newQid(),
    attributes: () => ({ mode: 0o666, owner, length: 0, mtime: now(), atime: now() }),
    open: () =>
      read ? { read: (_offset, count) => new Uint8Array(count) } : { write: (_offset, data) => data.length },
  })
  return dir(
    new Map([
      ['zero', endless(true)],
      ['null', endless(false)],
      ['tpools', bytes(`default 1 3${' 0'.repeat(52)} \n`, { owner })],
      ['meminfo', bytes('MemTotal: 1000 kB\nMemFree: 500 kB\n', { owner })],
      ['connections', bytes('somewhere 1\n', { owner })],
      ['net.rpc.nfs', bytes('', { owner })],
      ['version', bytes('diod-1.0.24\n', { owner })],
    ]),
    owner,
  )
}

let sockets = 0

/** Serves a tree in this process: 9P alone, without llambo. */
async function startTree(stage: Stage, root: File, address?: string): Promise<{ address: string; path: string }> {
  const path = stage.path(`tree-${++sockets}.sock`)
  const listener = await listen(address ?? `unix!${path}`, transport =>
    serve(transport, {
      attach: () => ({ root, user: { name: 'root', uid: 0, role: 'admin' } }),
    }),
  )
  stage.teardown(() => listener.close())
  return { address: listener.address, path }
}

/** Our client, llamboctl and mount on a diod that serves a tree of real files. */
async function ourClients(stage: Stage, report: Report): Promise<void> {
  const tree = stage.make('tree')
  makeTree(tree)
  const socket = await stage.diod(tree)
  const n = await stage.mount('n', `unix!${socket}`, tree, true)
  const both = async (script: string, limit?: number) => {
    const [wanted, got] = [
      await bash(`cd ${tree} && ${script}`, {}, limit),
      await bash(`cd ${n} && ${script}`, {}, limit),
    ]
    if (wanted.code !== 0) throw new Error(`not even without the mount: ${outcome(wanted)}`)
    same(outcome(got), outcome(wanted))
  }

  const fuse = reporter(report, 'our mount of diod', 'FUSE')
  await fuse('find -ls: every name, kind, mode, owner, size, link, time and number', () =>
    both('find . -printf "%P|%y|%m|%s|%l|%n|%T@|%U|%G|%i|%b\\0" | sort -z | tr "\\0" "\\n"'),
  )
  await fuse('sha256 of every file', () => both('find . -type f -print0 | sort -z | xargs -0 sha256sum'))
  await fuse('sha256 of every file, eight readers at once', () =>
    both('find . -type f -print0 | sort -z | xargs -0 -P 8 -n 50 sha256sum | sort'),
  )
  await fuse('ls -laR, with ls’s own order', () => both('ls -laR --time-style=full-iso . | grep -v "^total"'))
  await fuse('diff -r with the tree itself', async () =>
    same(
      outcome(await bash(`diff -r --no-dereference ${tree} ${n} 2>&1 | grep -v "is a fifo while"; true`)),
      'exit 0\n',
    ),
  )
  await fuse('rsync -n finds nothing to do', async () =>
    same(outcome(await bash(`rsync -anci --delete -H ${tree}/ ${n}/`)), 'exit 0\n'),
  )
  await fuse('tar of all of it is the same archive', () => both('tar c --sort=name . | sha256sum'))
  await fuse('pieces of a file: dd skip=, tail -c, head -c across message sizes', () =>
    both(
      'for s in 65511 65512 65513 131024; do tail -c +$s large | head -c 70000 | cksum; done; dd if=large bs=65513 skip=3 count=2 status=none | cksum',
    ),
  )
  await fuse('df and stat -f', () => both('stat -f -c "%S %b %c %l" .; df --output=size . | tail -1'))
  await fuse('a file that another user may not read', async () => {
    const as = (what: string) => bash(`setpriv --reuid=65534 --regid=65534 --clear-groups cat ${n}/${what}`)
    matches(outcome(await as('secret')), /^exit 1\n.*Permission denied/)
    same(outcome(await as('sizes/1')), `exit 0\n${readFileSync(`${tree}/sizes/1`)}`)
  })
  await fuse('a change on the other side is seen at once', async () => {
    const ran = await bash(
      `cd ${tree}; echo 1 > new; cat ${n}/new; echo 22 > new; cat ${n}/new; stat -c %s ${n}/new; mv new newer; cat ${n}/new; cat ${n}/newer; rm newer; ls ${n} | grep new; echo done`,
    )
    matches(outcome(ran), /^exit 0\n1\n22\n3\n22\ndone\ncat: \S+new: No such file/)
  })

  for (const msize of [4096, 65536]) {
    const ours = reporter(report, 'our client', '9P2000.L')
    await ours(`a walk through everything with checksums, messages of ${msize / 1024} KiB`, async () => {
      const client = await Client.connect(await dial(`unix!${socket}`), { msize })
      const found: string[] = []
      await everything(await client.attach({ uname: '', n_uname: 0, aname: tree }), [], found)
      client.close()
      const { out } = await bash(
        `cd ${tree}; find . -mindepth 1 -printf "%P|%m|%l|" \\( -type f -exec sha256sum {} \\; -o -printf "\\n" \\)`,
      )
      // sha256sum quotes a name with a newline, with a backslash before the sum
      const wanted = (await bash(`cd ${tree}; find . -mindepth 1 -print0`)).out.split('\0').length - 1
      same(`${found.length}`, `${wanted}`, 'files:')
      for (const line of out.split('\n')) {
        const file = /^([^|]+\|\d+\|)\|([0-9a-f]{64}) /.exec(line)
        if (file && !found.includes(`${file[1]}${file[2]}`)) throw new Error(`not found: ${line}`)
        const link = /^([^|]+\|777\|.+)\|$/.exec(line)
        if (link && !found.includes(link[1]!)) throw new Error(`not found: ${line}`)
      }
      if (found.length < 2000) throw new Error(`${found.length} files are too few to tell`)
    })
  }

  const home = new Home(stage)
  const ctl = reporter(report, 'llamboctl --aname', '9P2000.L')
  const on = (...args: string[]) => home.ctl('--at', `unix!${socket}`, '--aname', tree, ...args)
  await ctl('ls', async () =>
    same(sorted((await on('ls', 'many')).stdout), sorted((await bash(`ls ${tree}/many`)).out)),
  )
  await ctl('ls -l: modes, owners, sizes, times, kinds', async () => {
    // 9P has no set-user-id bits, and no length of a directory
    const mine = (await on('ls', '-l', 'kinds')).stdout.replace(/^.*mode-(512|1024|2048)\n/gm, '')
    const theirs = await bash(
      `cd ${tree}/kinds; find . -mindepth 1 ! -perm /7000 -printf "%M\t%U\t%s\t%TY-%Tm-%Td %TH:%TM:%.2TS\t%P\n"`,
      { TZ: process.env.TZ ?? '' },
    )
    same(sorted(mine), sorted(theirs.out.replace(/^(d.*\t.*)\t\d+\t(.*\t.*)$/gm, '$1\t0\t$2')))
  })
  await ctl('cat, several files', async () => {
    const command = `${process.execPath} ${llamboctl} --at 'unix!${socket}' --aname ${tree} cat sizes/65513 sizes/0 sizes/1`
    same(
      (await bash(`${command} | sha256sum`, home.env)).out,
      (await bash(`cd ${tree}/sizes; cat 65513 0 1 | sha256sum`)).out,
    )
  })
  await ctl('cp out and in, 10 MB', async () => {
    const out = await on('cp', '/n/llambo/large', home.path('large'))
    same(out.stderr, '')
    same(sha(readFileSync(home.path('large'))), sha(readFileSync(`${tree}/large`)))
    same((await on('cp', home.path('large'), '/n/llambo/copied')).stderr, '')
    same(sha(readFileSync(`${tree}/copied`)), sha(readFileSync(`${tree}/large`)))
  })
  await ctl('write, write -a, rm', async () => {
    await bash(`touch ${tree}/w`)
    await on('write', 'w', 'one')
    await on('write', '-a', 'w', 'two')
    same((await on('cat', 'w')).stdout, 'one\ntwo\n')
    same(`${(await on('rm', 'w')).code}`, '0')
    matches((await on('cat', 'w')).stderr, /w: file does not exist/)
  })
  await ctl('mount', async () => {
    const at = stage.make('by-hand')
    const ran = await on('mount', at)
    same(`${ran.code}`, '0', ran.stderr)
    try {
      same((await bash(`cat ${at}/sizes/1`)).out, `${readFileSync(`${tree}/sizes/1`)}`)
    } finally {
      same(`${(await on('umount', at)).code}`, '0')
    }
  })
}

/** Every file below a directory as `path|mode|link target or checksum`. */
async function everything(at: Fid, path: string[], found: string[]): Promise<void> {
  const open = await (await at.walk(path)).open(OREAD)
  for (const { name, qid } of await open.list()) {
    const fid = await at.walk([...path, name])
    const { mode } = await getattr(fid)
    const line = `${[...path, name].join('/')}|${(mode & 0o7777).toString(8)}|`
    if (qid.type & QTSYMLINK) found.push(line + (await readlink(fid)))
    else if ((mode & 0o170000) !== 0o100000) found.push(line)
    else found.push(line + sha(await at.readFile([...path, name].join('/'))))
    await fid.clunk()
    if (qid.type & QTDIR) await everything(at, [...path, name], found)
  }
  await open.clunk()
}

export const diod: Suite = {
  name: 'diod',
  packages: ['diod', 'rsync', 'bsdutils', 'ncurses-base'],
  async run(report) {
    for (const part of [theirClients, ourClients]) {
      const stage = new Stage()
      try {
        await part(stage, report)
      } finally {
        await stage.end()
      }
    }
  },
}
