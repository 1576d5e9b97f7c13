import { appendFileSync } from 'node:fs'
import type { ChalkInstance } from 'chalk'
import { isOwnPlace, serverAddress } from './address.js'
import { type ColorChoice, colors } from './color.js'
import type { Connection } from './connect.js'
import { explain, usage } from './exit.js'
import { homeMount, MOUNT, names } from './npath.js'
import { write } from './output.js'
import { stateDir } from './paths.js'
import { runningServer } from './serverfile.js'

/** The options every command takes. */
export interface Globals {
  readonly at?: string
  readonly aname?: string
  readonly trace?: string
  /** `--color`, `--no-color`; undefined: as the stream is. */
  readonly color?: boolean
}

/** An address that cannot be meant is a mistake on the command line. */
function addressOf<T>(parse: () => T): T {
  try {
    return parse()
  } catch (error) {
    throw usage(explain(error))
  }
}

/** What a command is given: the process around it, so that a test can give it another, and what all commands do alike. */
export class Invocation {
  readonly address: string
  readonly stdout = process.stdout
  readonly stderr = process.stderr
  readonly stdin = process.stdin

  constructor(
    readonly globals: Globals,
    readonly env: NodeJS.ProcessEnv,
    /** Aborts at SIGINT, SIGTERM and SIGHUP. */
    readonly signal: AbortSignal,
  ) {
    this.address = serverAddress(globals.at, env)
  }

  /** Data for standard output. */
  print(data: string | Uint8Array): Promise<void> {
    return write(this.stdout, data)
  }

  /** A line for the person at the terminal, on standard error. */
  note(line: string): void {
    this.stderr.write(`${line}\n`)
  }

  get colorChoice(): ColorChoice {
    return this.globals.color === undefined ? 'auto' : this.globals.color ? 'always' : 'never'
  }

  /** Colours for one of the streams. */
  colors(stream: NodeJS.WriteStream): ChalkInstance {
    return colors(stream, this.colorChoice, this.env)
  }

  /** Where `--trace` has every 9P message written, a line each; `-` is standard error. */
  get trace(): ((line: string) => void) | undefined {
    const { trace } = this.globals
    if (trace === undefined) return undefined
    if (trace === '-') return line => this.note(line)
    // each line is written before the next is sent: a program that ends at once has lost none
    const write = (line: string) => appendFileSync(trace, line, { mode: 0o600 })
    try {
      write('')
    } catch (error) {
      throw usage(`--trace: ${explain(error)}`)
    }
    return line => {
      try {
        write(`${line}\n`)
      } catch {
        // a disk that is full by now ends the trace, and nothing else
      }
    }
  }

  /** Where the namespace may be mounted: paths below these are taken for paths in it. */
  get mounts(): readonly string[] {
    return [...(runningServer(this.env)?.mounts ?? []), homeMount(this.env), MOUNT]
  }

  /** A path in the namespace, however it is written, as names. */
  names(path: string): string[] {
    return names(path, this.mounts)
  }

  /** Whether the server is reached by a socket that is trusted by its place, so that the place must be checked. */
  get ownPlace(): boolean {
    return isOwnPlace(this.address, this.env)
  }

  /**
   * What the server is offered where it asks for a token: the one that the environment names, else the owner's own, if the server is known
   * to be the owner's.
   */
  async token(): Promise<string | undefined> {
    return (await this.#credentials()).token
  }

  async #credentials(): Promise<{ token?: string | undefined; withheld?: string | undefined }> {
    if (this.address.startsWith('unix!')) return {}
    const [{ parseAddress }, { namedToken, ownerToken, ownerTokenFile }, { isOwnServer }, fingerprint] =
      await Promise.all([
        import('../../fs/dial.js'),
        import('./tokens.js'),
        import('./own-server.js'),
        this.fingerprint(),
      ])
    addressOf(() => parseAddress(this.address))
    const named = namedToken(this.env)
    if (named !== undefined) return { token: named }
    const state = stateDir(this.env)
    const own = ownerToken(state)
    if (own === undefined || isOwnServer(this.address, fingerprint, this.env)) return { token: own }
    return { withheld: ownerTokenFile(state) }
  }

  /** The certificate that the server must have; undefined: one that an authority vouches for, or there is no TLS. */
  async fingerprint(): Promise<string | undefined> {
    if (!this.address.startsWith('wss:')) return undefined
    const { ownFingerprint } = await import('./fingerprint.js')
    return addressOf(() => ownFingerprint(this.env, this.address))
  }

  /** The server's root. @throws Failure (unreachable, auth) */
  async connect(): Promise<Connection> {
    const { aname } = this.globals
    const [{ connect }, { token, withheld }, fingerprint] = await Promise.all([
      import('./connect.js'),
      this.#credentials(),
      this.fingerprint(),
    ])
    const { ownPlace, trace } = this
    return connect(this.address, { token, withheld, fingerprint, aname, ownPlace, trace }, this.signal)
  }
}
