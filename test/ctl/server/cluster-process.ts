import { version } from '../../../ctl/cli.js'
import { advertise } from '../../../ctl/server/discovery.js'
import { machineId } from '../../../ctl/server/host.js'
import { Cluster } from '../cluster.js'

/**
 * A cluster to join, in a process of its own, as it has to be in a network namespace: listens on the address in its arguments,
 * says so over mDNS, and prints `ready FINGERPRINT` and then each member's kind, until SIGTERM.
 */
const note = (line: string) => void process.stderr.write(`${line}\n`)
const cluster = new Cluster({ teardown: () => undefined, comment: note }, process.env.XDG_STATE_HOME!)
await cluster.open(process.argv[2])
const { address, fingerprint } = cluster
const told = advertise({
  id: machineId(process.env),
  version: version(),
  listeners: [{ address, fingerprint, close: async () => {} }],
  note,
})
process.once('SIGTERM', async () => {
  await told.close()
  await cluster.close()
})
process.stdout.write(`ready ${fingerprint}\n`)
let printed = 0
await cluster.until(() => {
  for (; printed < cluster.members.length; printed++)
    process.stdout.write(`member ${cluster.members[printed]!.attrs.kind}\n`)
  return false
})
