/** A host with one worker, as a process that a test can kill. */
import { localHost } from '../../ctl/server/host.js'

/** Starts the host and prints the worker's id and pid. */
const [address = '', config = '{}'] = process.argv.slice(2)
const host = localHost({
  config: JSON.parse(config),
  env: process.env,
  upstream: { address },
  note: () => {},
  shutdown: () => {},
})
const [id] = host.spawn('default')
process.stdout.write(`${id} ${host.workers[0]!.pid}\n`)
