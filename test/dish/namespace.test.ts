/** Tests of a shell's name space. */

import t from 'tap'
import { user } from '../../dish/space.js'
import { bytes } from '../../fs/kit/content.js'
import { folder, owner, Shell, served, shell, tree } from './fixture.js'

t.test('bind, mount, import and unmount change the name space that ns prints', async t => {
  const other = await served(
    t,
    folder({ o: bytes('other\n', { owner }), 'b.txt': bytes('theirs\n', { owner }) }),
    'other',
  )
  const address = await served(t, tree())
  const dish = await Shell.at(t, address)
  const rows: readonly (readonly [string, string, (string | RegExp)?])[] = [
    ['ns', `mount ${address} /n/llambo\nbind '#dish' /n/dish\nbind '#usr' /usr\ncd /n/llambo\n`],
    [`mount ${other} /n/other; ls /n/other; ls /n`, 'b.txt\no\ndish\nllambo\nother\n'],
    ['bind -b /n/other /n/llambo; cat b.txt o', 'theirs\nother\n'],
    [
      'unmount /n/other /n/llambo; cat b.txt; ls o',
      'beta\n',
      `/n/llambo/o: file does not exist (llambo, as ${user.name})`,
    ],
    [
      'bind -a /n/other dir; cat dir/o; echo x > dir/new',
      'other\n',
      `/n/llambo/dir/new: permission denied: cannot create files in this union: none of its parts was bound with -c (other, as ${user.name})`,
    ],
    ['bind -ac /n/other dir; echo x > dir/new; cat /n/other/new', 'x\n'],
    [
      'unmount dir; ls dir; unmount dir',
      'sub\nx1\nx2\ny\n',
      'unmount: bad argument: nothing is mounted at /n/llambo/dir',
    ],
    ['bind -a -b a b', '', /^bind: give -a or -b, not both; usage: bind /],
    ["bind '#nope' /x", '', 'bind: file does not exist: no device "#nope"; devices: #dish #usr'],
    ['mount nonsense /x', '', /^mount: bad argument: address "nonsense"/],
    ['mount unix!/nowhere/9p /x; ls /n', 'dish\nllambo\nother\n'],
    [`import ${other}; ls /n/*other*/o | wc -l`, '2\n'],
    ['cd dir; bind . /n/here; ns | tail -n 2', 'bind /n/llambo/dir /n/here\ncd /n/llambo/dir\n'],
  ]
  for (const [text, out, status = ''] of rows) {
    const said = await dish.run(text)
    t.equal(said.out, out, text)
    if (typeof status === 'string') t.equal(said.status, status, text)
    else t.match(said.status, status, text)
  }
})

t.test('another shell can run what ns prints', async t => {
  const address = await served(t, tree())
  const first = await Shell.at(t, address)
  await first.run("bind dir '/n/two words'; bind -a worker-0001 /n/llambo/dir; cd dir")
  const { out } = await first.run('ns')
  const second = await Shell.at(t, 'unix!/nowhere/9p')
  t.equal((await second.run(out)).err, '')
  t.equal((await second.run('ns')).out, out)
  t.equal(
    (await second.run("ls '/n/two words'; cat status; pwd")).out,
    (await first.run("ls '/n/two words'; cat status; pwd")).out,
  )
})

t.test('each shell, and each command that on runs, has its own name space', async t => {
  const dish = await shell(t)
  t.equal(
    (await dish.run('on worker-0001 { cat status; bind ctl status; ls /n }; cat worker-0001/status')).out,
    'server name=worker-0001 kind=worker state=idle\ndish\nllambo\nserver name=worker-0001 kind=worker state=idle\n',
  )
  t.match((await dish.run('ns')).out, /^mount \S+ \/n\/llambo\nbind '#dish' \/n\/dish\n/)
})

t.test('a job that on left running keeps its name space', async t => {
  const dish = await shell(t)
  const { out } = await dish.run('on worker-0002 { cat ctl; { sleep 0.1; cat status } & }; wait')
  t.equal(out, 'server name=worker-0002 kind=worker state=idle\n')
})

t.test('/n/dish shows what the shell does', async t => {
  const dish = await shell(t)
  await dish.run('sleep 60 &')
  const { out } = await dish.run('cat /n/dish/jobs /n/dish/namespace /n/dish/status; ls /n/dish')
  t.match(
    out,
    /^job id=1 state=running command='sleep 60'\nmount .*\nbind '#dish' \/n\/dish\nbind '#usr' \/usr\ncd \/n\/llambo\ndish pid=\d+ user=\S+ server=\S+ cwd=\/n\/llambo status='' jobs=1 interactive=no uptime_s=\d+\nhistory\njobs\nnamespace\nstatus\n$/,
  )
  t.equal((await dish.run('kill %1; jobs')).out, "job id=1 state=failed status=stopped command='sleep 60'\n")
})
