/** Tests of dish and llamboctl with imitated 9P servers of other programs. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { listen } from '../../fs/dial.js'
import { Home } from '../ctl/fixture.js'
import { ForeignServer, manners } from '../foreign.js'
import { Shell } from './fixture.js'

type Name = keyof typeof manners

/** A foreign server on a socket. */
async function foreign(t: Test, name: Name) {
  const server = new ForeignServer(manners[name])
  server.add('old', 'text\n')
  const folder = mkdtempSync(join(tmpdir(), 'llambo-foreign-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const address = `unix!${join(folder, '9p')}`
  const { close } = await listen(address, transport => server.serve(transport))
  t.teardown(close)
  return { server, address }
}

for (const name of Object.keys(manners) as Name[]) {
  t.test(`${name}: dish creates and writes files, makes directories and lists what it made`, async t => {
    const { server, address } = await foreign(t, name)
    const shell = await Shell.at(t, address)
    const said = await shell.run('echo one > /n/llambo/new; mkdir /n/llambo/dir; echo two > /n/llambo/dir/below')
    t.match(said, { err: '', code: 0 })
    t.equal(server.file('new')?.data.toString(), 'one\n')
    t.equal(server.file('dir/below')?.data.toString(), 'two\n')
    t.match((await shell.run('ls -l /n/llambo')).out, /^-\S+\s.*\b4\b.*\bnew$/m)
    t.match(await shell.run('cat /n/llambo/none'), { code: 1, err: /none: / })
    t.notOk(
      server.requests.some(line => line.startsWith('Twstat')),
      'dish sends no request that the server refuses',
    )
  })

  // the test above covers everything in which the other servers differ
  if (name !== 'lib9p' && name !== 'linux') continue
  t.test(`${name}: llamboctl cp creates a file and overwrites one`, async t => {
    const { server, address } = await foreign(t, name)
    const home = new Home(t)
    writeFileSync(home.path('file'), 'copied\n')
    for (const to of ['new', 'old']) {
      t.same(await home.ctl('--at', address, 'cp', home.path('file'), `/n/llambo/${to}`), {
        code: 0,
        stdout: '',
        stderr: '',
      })
      t.equal(server.file(to)?.data.toString(), 'copied\n')
    }
  })
}
