/** The example in fs/README.md works. */
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { Client } from '../../fs/client/client.js'
import { dial } from '../../fs/dial.js'

t.test('the server in fs/README.md serves its tree', async t => {
  const readme = readFileSync(fileURLToPath(new URL('../../../fs/README.md', import.meta.url)), 'utf8')
  const code = /```js\n([\s\S]*?)```/
    .exec(readme)![1]!
    .replaceAll("from './", `from '${new URL('../../fs/', import.meta.url).href}`)
  const at = mkdtempSync(join(tmpdir(), 'llambo-readme-'))
  writeFileSync(join(at, 'server.mjs'), code)
  const address = `unix!${join(at, 'run', '9p')}`
  const server = spawn(process.execPath, [join(at, 'server.mjs'), address], { stdio: 'inherit' })
  t.teardown(() => {
    server.kill()
    rmSync(at, { recursive: true })
  })
  const transport = await (async () => {
    for (;;) {
      const it = await dial(address).catch(() => undefined)
      if (it) return it
      if (server.exitCode !== null) throw new Error('the server ended')
      await sleep(20)
    }
  })()
  const client = await Client.connect(transport)
  const root = await client.attach({ uname: 'ann' })
  await root.writeFile('ctl', 'greet salve')
  t.equal(new TextDecoder().decode(await root.readFile('greeting')), 'salve, ann\n')
  client.close()
})
