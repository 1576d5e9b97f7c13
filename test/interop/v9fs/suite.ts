import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { connect, createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { bundledModels } from '../../../ctl/server/bundled.js'
import { Home } from '../../ctl/fixture.js'
import type { Report, Suite } from '../table.js'
import { guest } from './guest.js'
import { type Kernel, kernel, suites } from './kernel.js'
import { type At, operations } from './operations.js'

const dialects: Readonly<Record<string, At['dialect']>> = {
  '9p2000': '9P2000',
  '9p2000.u': '9P2000.u',
  '9p2000.L': '9P2000.L',
}

/** The Linux kernel's own 9P client, in a machine under software emulation, against servers as users start them. */
export const v9fs: Suite = {
  name: 'v9fs',
  packages: ['qemu-system-x86', 'busybox-static', 'cpio', 'xz-utils'],
  async run(report) {
    for (const version of Object.keys(suites)) {
      let found: Kernel
      try {
        found = kernel(version)
      } catch (error) {
        const note = (error as Error).message
        report({ client: `v9fs ${version}`, dialect: '-', operation: 'everything', result: 'skipped', note })
        continue
      }
      await trial(found, report)
    }
  },
}

async function trial(kernel: Kernel, report: Report): Promise<void> {
  const undo: (() => unknown)[] = []
  const test = { teardown: (fn: () => unknown) => undo.unshift(fn) }
  try {
    const fast = await server(test, {})
    const slow = await server(test, { LLAMBO_ENGINE_RATE: '2', LLAMBO_SLOTS: '8' })
    const env = { FAST: fast.port, SLOW: slow.port, RELAY: await relay(test, slow.socket) }
    const model = readFileSync(join(bundledModels, 'llambo-tiny.gguf'))
    const facts = { kernel: kernel.version, digest: createHash('sha256').update(model).digest('hex') }
    const client = `v9fs ${kernel.version}`
    let at = { ...facts, dialect: '9P2000' as At['dialect'] }
    let { operation, want, note } = operations[0]!
    for await (const [word, ...rest] of guest(
      kernel,
      operations.map(o => o.script),
      env,
    )) {
      if (word === 'begin') {
        at = { ...facts, dialect: dialects[rest[0]!]! }
        ;({ operation, want, note } = operations[Number(rest[1])]!)
      }
      if (word !== 'end') continue
      const say = (what: typeof note) => (typeof what === 'function' ? what(at) : what)
      const said = Buffer.from(rest[1] ?? '', 'base64').toString()
      const row = { client, dialect: at.dialect, operation }
      const why = say(note)
      if (rest[0] === '0' && said === say(want)) report({ ...row, result: 'ok', ...(why && { note: why }) })
      else report({ ...row, result: 'failed', note: `exit ${rest[0]}, said ${JSON.stringify(said)}` })
    }
  } finally {
    for (const step of undo) await step()
  }
}

type Test = { teardown(fn: () => unknown): unknown }

/** A server with engine echo that believes who comes over TCP on loopback: v9fs cannot show a token. */
async function server(test: Test, env: NodeJS.ProcessEnv): Promise<{ port: number; socket: string }> {
  const home = new Home(test, { LLAMBO_LISTEN: 'ws://127.0.0.1:0/9p tcp!127.0.0.1!0', LLAMBO_AUTH: 'none', ...env })
  const run = await home.up()
  await run.says(/listening on tcp/)
  return {
    port: Number(/listening on tcp!127\.0\.0\.1!(\d+)/.exec(run.stderr)![1]),
    socket: /listening on unix!(\S+)/.exec(run.stderr)![1]!,
  }
}

/** TCP on loopback to a unix socket, where the server takes each user for who the client says he is. */
async function relay(test: Test, socket: string): Promise<number> {
  const server: Server = createServer(near => {
    const far = connect(socket)
    for (const [a, b] of [
      [near, far],
      [far, near],
    ] as const) {
      a.on('error', () => undefined).on('close', () => b.destroy())
      a.pipe(b)
    }
  })
  test.teardown(() => server.close())
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  return (server.address() as { port: number }).port
}
