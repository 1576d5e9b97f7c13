/**
 * `node server.js ADDRESS [large] [directories]`: serves the named parts of tree.ts from memory with fs/. It ends when
 * its standard input ends.
 */

import { listen } from '../fs/dial.js'
import { serve } from '../fs/server/server.js'
import { owner, tree } from './tree.js'

const root = tree(process.argv.slice(3))

await listen(process.argv[2]!, transport =>
  serve(transport, {
    attach: ({ uname }) => ({ root, user: { name: uname, uid: owner.uid, role: 'use' } }),
  }),
)
process.stdout.write('ready\n')
process.stdin.resume().on('end', () => process.exit(0))
