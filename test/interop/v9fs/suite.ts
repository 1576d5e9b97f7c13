/** The suite `v9fs`: the Linux kernel's own 9P client. */

import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { bundledModels } from '../../../ctl/server/bundled.js'
import { Home } from '../../ctl/fixture.js'
import type { Report, Row, Suite } from '../table.js'
import { guest } from './guest.js'
import { type Kernel, kernel, suites } from './kernel.js'
import { type At, type Operation, operations } from './operations.js'

const dialects: Readonly<Record<string, At['dialect']>> = {
  '9p2000': '9P2000',
  '9p2000.u': '9P2000.u',
  '9p2000.L': '9P2000.L',
}

/** Runs the Linux kernel's own 9P client in emulated machines, with servers that are started as users start them. */
export const v9fs: Suite = {
  name: 'v9fs',
  packages: ['qemu-system-x86', 'busybox', 'cpio', 'xz-utils'],
  async run(report) {
    // both guests run at once; the rows of the second wait until the first has ended
    const later: Row[] = []
    const tell = (version: string, i: number) => trial(version, i === 0 ? report : row => later.push(row))
    await Promise.all(Object.keys(suites).map(tell))
    later.forEach(report)
  },
}

async function trial(version: string, report: Report): Promise<void> {
  const client = `v9fs ${version}`
  let found: Kernel
  try {
    found = kernel(version)
  } catch (error) {
    return report({ client, dialect: '-', operation: 'everything', result: 'skipped', note: (error as Error).message })
  }
  const undo: (() => unknown)[] = []
  const test = { teardown: (fn: () => unknown) => undo.unshift(fn) }
  const model = readFileSync(join(bundledModels, 'llambo-tiny.gguf'))
  const facts = { kernel: version, digest: createHash('sha256').update(model).digest('hex') }
  let at: At = { ...facts, dialect: '9P2000' }
  let current = operations[0]!
  try {
    const fast = await server(test, {})
    const slow = await server(test, { LLAMBO_ENGINE_RATE: '2', LLAMBO_SLOTS: '8' })
    const { port, cut } = await relay(test, slow.socket)
    const env = { kernel: version, FAST: fast.port, SLOW: slow.port, RELAY: port, CUT: cut }
    const scripts = operations.map(({ script }) => script)
    for await (const [word, ...rest] of guest(found, scripts, env)) {
      if (word === 'begin') {
        at = { ...facts, dialect: dialects[rest[0]!]! }
        current = operations[Number(rest[1])]!
      }
      if (word === 'end')
        report({ client, ...result(current, at, rest[0]!, Buffer.from(rest[1] ?? '', 'base64').toString()) })
    }
  } catch (error) {
    const note = 'the guest or its server ended in it; nothing was tried after it'
    report({ client, dialect: at.dialect, operation: current.operation, result: 'failed', note })
    process.stderr.write(`${client}: ${(error as Error).stack}\n`)
  } finally {
    for (const step of undo) await step()
  }
}

/** The row of an operation that ended with `status` and printed `said`. */
function result({ operation, want, note, not }: Operation, at: At, status: string, said: string): Omit<Row, 'client'> {
  const row = { dialect: at.dialect, operation }
  const reason = not?.(at)
  if (reason) return { ...row, result: 'skipped', note: reason }
  const wanted = typeof want === 'function' ? want(at) : want
  if (status !== '0' || said !== wanted)
    return {
      ...row,
      result: 'failed',
      note: `exit ${status}, said ${JSON.stringify(said)}, not ${JSON.stringify(wanted)}`,
    }
  const worth = note?.(at)
  return { ...row, result: 'ok', ...(worth && { note: worth }) }
}

type Test = { teardown(fn: () => unknown): unknown }

/** A server with engine echo that trusts every client over TCP on loopback, because v9fs cannot give a token. */
async function server(test: Test, env: NodeJS.ProcessEnv): Promise<{ port: number; socket: string }> {
  const home = new Home(test, { LLAMBO_LISTEN: 'ws://127.0.0.1:0/9p tcp!127.0.0.1!0', LLAMBO_AUTH: 'none', ...env })
  const run = await home.up()
  await run.says(/listening on tcp/)
  return {
    port: Number(/listening on tcp!127\.0\.0\.1!(\d+)/.exec(run.stderr)![1]),
    socket: /listening on unix!(\S+)/.exec(run.stderr)![1]!,
  }
}

/**
 * Relays TCP on loopback to a unix socket, where the server believes the client about who the user is. A connection to
 * the port `cut` ends all connections of the relay.
 */
async function relay(test: Test, socket: string): Promise<{ port: number; cut: number }> {
  const open = new Set<Socket>()
  const pass = await listen(test, near => {
    const far = connect(socket)
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      open.add(from)
      from.on('error', () => undefined).on('close', () => open.delete(from) && to.destroy())
      from.pipe(to)
    }
  })
  const cut = await listen(test, near => {
    for (const socket of open) socket.destroy()
    near.destroy()
  })
  return { port: pass, cut }
}

/** Listens on loopback. @returns the port */
async function listen(test: Test, accept: (socket: Socket) => void): Promise<number> {
  const server = createServer(accept)
  test.teardown(() => server.close())
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  return (server.address() as AddressInfo).port
}
