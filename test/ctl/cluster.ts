/** A stand-in for the cluster that a machine joins, for tests of joining. */
import type { Config } from '../../cli/settings.js'
import { certificate } from '../../ctl/server/certificate.js'
import { type Acceptor, type Listener, listenAddresses, openListener } from '../../ctl/server/listeners.js'
import { parseRecords } from '../../fs/base/quote.js'
import { Client, type Fid } from '../../fs/client/client.js'
import type { Transport } from '../../fs/transport.js'
import { ORDWR } from '../../fs/wire/protocol.js'

/** The part of a tap test that is used here. */
interface Test {
  teardown(fn: () => unknown): unknown
  comment(text: string): unknown
}

/** A host or worker that has joined: its files and the first record of its `status`. */
export interface Member {
  readonly client: Client
  readonly root: Fid
  readonly attrs: Readonly<Record<string, string>>
  gone: boolean
}

/**
 * The cluster's end of a join. It has a real listener with real TLS, and a 9P client for each peer that joins, as an
 * orchestrator has.
 */
export class Cluster {
  readonly members: Member[] = []
  address = ''
  fingerprint = ''
  /** Where set, each connection is closed at once with this error, as by a cluster of another version. */
  refuse: Error | undefined
  #listener: Listener | undefined
  #transports = new Set<Transport>()
  #changed: () => void = () => undefined

  constructor(
    readonly t: Test,
    readonly state: string,
    public token = 'llb_the-token',
  ) {
    t.teardown(() => this.close())
  }

  /** Starts to listen. @param listen the address; with port 0 the system chooses the port, and `address` has it */
  async open(listen = 'wss://127.0.0.1:0/9p'): Promise<this> {
    const config = { listen: [listen], auth: 'token' } as unknown as Config
    const door: Acceptor = {
      acceptLocal: () => undefined,
      acceptWithToken: () => undefined,
      verify: () => undefined,
      acceptJoin: transport =>
        void this.#joined(transport).catch(error => this.t.comment(`a member: ${error.message}`)),
      verifyJoin: given => given === this.token,
      anonymousUser: { name: 'nobody', uid: 1, role: 'read' },
      note: line => this.t.comment(line),
    }
    const [, item] = listenAddresses(config, { XDG_STATE_HOME: this.state, XDG_RUNTIME_DIR: '/run' })
    this.#listener = await openListener(item!, config, door)
    this.address = this.#listener.address.replace(/9p$/, 'join')
    this.fingerprint = this.#listener.fingerprint ?? ''
    return this
  }

  get args(): string[] {
    return [this.address, '--fingerprint', this.fingerprint]
  }

  async #joined(transport: Transport): Promise<void> {
    if (this.refuse) return transport.destroy(this.refuse)
    this.#transports.add(transport)
    const client = await Client.connect(transport)
    const { onclose } = transport
    let member: Member | undefined
    transport.onclose = reason => {
      this.#transports.delete(transport)
      if (member) member.gone = true
      onclose(reason)
      this.#changed()
    }
    const root = await client.attach({ uname: 'parent', aname: '/?role=admin' })
    const [first] = parseRecords(Buffer.from(await root.readFile('status')).toString())
    member = { client, root, attrs: first!.attrs, gone: false }
    this.members.push(member)
    this.#changed()
  }

  /** The members of a kind that are connected. */
  of(kind: 'host' | 'worker'): Member[] {
    return this.members.filter(({ attrs, gone }) => attrs.kind === kind && !gone)
  }

  /** Waits for a condition, which is checked whenever a member comes or goes. */
  async until(so: () => boolean): Promise<void> {
    while (!so())
      await new Promise<void>(resolve => {
        this.#changed = resolve
      })
  }

  /** Stops listening and closes all connections. */
  async close(): Promise<void> {
    await this.#listener?.close()
    for (const transport of this.#transports) transport.destroy()
  }
}

/** Reads an answer from a worker's `data`. @param started called when the first bytes have arrived */
export async function answer({ root }: Member, prompt: string, started: () => void = () => undefined): Promise<string> {
  const fid = await root.walk(['data'])
  await fid.open(ORDWR)
  await fid.write(0, Buffer.from(prompt))
  let text = ''
  for (;;) {
    const data = await fid.read(text.length, 4096)
    if (data.length === 0) break
    if (text === '') started()
    text += Buffer.from(data).toString('latin1')
  }
  await fid.clunk()
  return text
}

/** The certificate of a cluster with that state directory. */
export const certificateOf = (state: string) => certificate({} as Config, `${state}/llambo`)
