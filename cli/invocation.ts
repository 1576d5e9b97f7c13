/** What every command is given: the global options, the environment, the streams and the connection to the server. */
import { appendFileSync } from 'node:fs'
import type { ChalkInstance } from 'chalk'
import { isOwnPlace, serverAddress } from './address.js'
import { type ColorChoice, colors } from './color.js'
import type { Connection } from './connect.js'
import { explain, usage } from './exit.js'
import { homeMount, MOUNT, names } from './ns-path.js'
import { write } from './output.js'
import { stateDir } from './paths.js'
import { runningServer } from './serverfile.js'

/** The options that every command takes. */
export interface Globals {
  readonly at?: string
  readonly aname?: string
  readonly trace?: string
  /** `--color` or `--no-color`. Undefined where neither is given: then the stream decides. */
  readonly color?: boolean
}

/** Turns the error of an invalid address or fingerprint into a usage error. */
function addressOf<T>(parse: () => T): T {
  try {
    return parse()
  } catch (error) {
    throw usage(explain(error))
  }
}

/** What a command runs with: the process around it, which a test can replace, and what all commands do alike. */
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

  /** Writes data to standard output and waits while its reader is slower. */
  print(data: string | Uint8Array): Promise<void> {
    return write(this.stdout, data)
  }

  /** Writes a line for the person at the terminal, to standard error. */
  note(line: string): void {
    this.stderr.write(`${line}\n`)
  }

  get colorChoice(): ColorChoice {
    return this.globals.color === undefined ? 'auto' : this.globals.color ? 'always' : 'never'
  }

  /** The colours for one of the streams. */
  colors(stream: NodeJS.WriteStream): ChalkInstance {
    return colors(stream, this.colorChoice, this.env)
  }

  /**
   * The sink for 9P messages, a line each, where `--trace` is given; `--trace -` writes to standard error.
   * @throws Failure (usage)
   */
  get trace(): ((line: string) => void) | undefined {
    const { trace } = this.globals
    if (trace === undefined) return undefined
    if (trace === '-') return line => this.note(line)
    // written synchronously: a program that ends abruptly loses no line
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
        // a full disk ends the trace and nothing else
      }
    }
  }

  /** The directories where the namespace may be mounted. Paths below them are taken for paths of the namespace. */
  get mounts(): readonly string[] {
    return [...(runningServer(this.env)?.mounts ?? []), homeMount(this.env), MOUNT]
  }

  /** The names of a path of the namespace, however the path is written. */
  names(path: string): string[] {
    return names(path, this.mounts)
  }

  /** Whether the server's address is a socket that is trusted because of its directory, which then must be checked. */
  get ownPlace(): boolean {
    return isOwnPlace(this.address, this.env)
  }

  /**
   * The token to offer to the server: the one that the environment names, else the user's own, provided that the server
   * is known to be the user's own. Undefined where there is neither, and for a unix socket.
   */
  async token(): Promise<string | undefined> {
    return (await this.#credentials()).token
  }

  async #credentials(): Promise<{ token?: string | undefined; withheld?: string | undefined }> {
    if (this.address.startsWith('unix!')) return {}
    const [{ parseAddress }, { namedToken, ownerToken, ownerTokenFile }, { isOwnServer }, fingerprint] =
      await Promise.all([import('../fs/dial.js'), import('./tokens.js'), import('./own-server.js'), this.fingerprint()])
    addressOf(() => parseAddress(this.address))
    const named = namedToken(this.env)
    if (named !== undefined) return { token: named }
    const state = stateDir(this.env)
    const own = ownerToken(state)
    if (own === undefined || isOwnServer(this.address, fingerprint, this.env)) return { token: own }
    return { withheld: ownerTokenFile(state) }
  }

  /**
   * The fingerprint of the certificate that the server must have. Undefined where an authority vouches for it, or there
   * is no TLS.
   */
  async fingerprint(): Promise<string | undefined> {
    if (!this.address.startsWith('wss:')) return undefined
    const { ownFingerprint } = await import('./fingerprint.js')
    return addressOf(() => ownFingerprint(this.env, this.address))
  }

  /** Connects to the server and attaches to its root. @throws Failure (unreachable, auth) */
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
