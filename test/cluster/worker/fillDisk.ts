/**
 * A program for a directory on a file system of 1 MiB: uploads 2 MB, and prints the errors and what is left, as JSON.
 */
import { readdirSync, statfsSync } from 'node:fs'
import { toFsError } from '../../../api/errors.js'
import { ModelStore } from '../../../cluster/worker/models.js'

const dir = process.argv[2]!
const owner = { name: 'ada', uid: 1000 }
const ctx = { user: { ...owner, role: 'admin' as const }, signal: new AbortController().signal }
const free = () => statfsSync(dir).bavail * statfsSync(dir).bsize
const before = free()
const { opened } = await new ModelStore(dir, { owner }).root.create!('big.gguf', 0o644, 1, ctx)
const said: string[] = []
const said1 = (e: unknown) => void said.push(toFsError(e).message)
for (let at = 0; at < 2e6; at += 100_000) {
  await Promise.resolve(opened.write!(at, new Uint8Array(100_000), ctx)).catch(said1)
}
const left = readdirSync(dir)
const freed = free() === before
await Promise.resolve(opened.sync!(ctx)).catch(said1)
await opened.close!()
process.stdout.write(JSON.stringify({ said: [...new Set(said)], times: said.length, left, freed }))
