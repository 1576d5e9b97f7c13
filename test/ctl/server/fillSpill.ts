/**
 * Writes to a spill disk until its file system of 1 MiB is full, and prints what is there then as JSON; a test runs it.
 */
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { spillDisk } from '../../../ctl/server/spill.js'

const XDG_STATE_HOME = process.argv[2]!
const all = join(XDG_STATE_HOME, 'llambo/spill')
const disk = spillDisk({ XDG_STATE_HOME })
const size = 300_000
let at = 0
let code: string | undefined
for (let n = 1; code === undefined && n < 10; n++)
  await disk.write('1', at, [new Uint8Array(size).fill(n)]).then(
    () => {
      at += size
    },
    error => {
      code = error.code
    },
  )
const file = join(all, readdirSync(all)[0]!, '1')
const last = await disk.read('1', at - 1, 10)
process.stdout.write(JSON.stringify({ code, wrote: at, is: statSync(file).size, last: [...last], limit: disk.limit }))
await disk.close()
