/** Runs the scripts of test/fs/scripts over every transport. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { serve } from '../../fs/server/server.js'
import { ways } from './over.js'
import { runScript } from './script.js'
import { options } from './tree.js'

// the scripts are not compiled: read them from the source folder
const folder = join(import.meta.dirname, '../../../test/fs/scripts')

for (const [name, way] of Object.entries(ways))
  t.test(`over ${name}: the server answers as each script expects`, async t => {
    let auth = false
    const over = await way(transport => serve(transport, options(auth)))
    t.teardown(() => over.close())
    for (const file of readdirSync(folder).filter(f => f.endsWith('.txt'))) {
      auth = file.startsWith('auth')
      const transport = await over.dial()
      await t.resolves(runScript(readFileSync(join(folder, file), 'utf8'), transport), file)
    }
  })
