/** Tokens: the file of those that a server accepts, and the tokens that our own tools offer. */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { appendFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { variable } from '../api/environment.js'
import { fail } from '../api/errors.js'
import type { User } from '../fs/file.js'
import { makeDirectory } from '../fs/host-directory.js'
import { NONUNAME } from '../fs/wire/protocol.js'
import { account } from './account.js'
import { MAX_PRIVATE, placePrivate, readPrivate } from './private-file.js'

/** What a token permits. `join` opens only the end point at which workers and hosts join; the others open the tree. */
export const roles = ['read', 'use', 'admin', 'join'] as const
export type Role = (typeof roles)[number]

interface Row {
  readonly role: Role
  readonly user: string
  readonly digest: Buffer
}

/** The delay before a wrong token is refused, in ms. */
const FAILURE_DELAY_MS = 1000

/** Makes a token: 256 random bits after `llb_`, by which scanners find leaked tokens. */
export const newToken = (): string => `llb_${randomBytes(32).toString('base64url')}`
const shape = /^llb_[A-Za-z0-9_-]{43}$/
const userName = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$/

const digestOf = (token: string): Buffer => createHash('sha256').update(token).digest()
/** The line of a token in the file. The file holds only the token's SHA-256. */
export const line = (role: Role, user: string, token: string, comment: string): string =>
  `${role} ${user} sha256:${digestOf(token).toString('hex')} # ${comment}\n`

/**
 * The tokens that a server accepts, from the file `tokens` in its state directory. Each line has a role, a user and the
 * token's SHA-256; `#` begins a comment. The file is read again when it has changed, so tokens are issued, revoked and
 * rotated without a restart, by adding and removing lines.
 */
export class Tokens {
  readonly path: string
  #rows: readonly Row[] = []
  #seen = ''

  /**
   * Reads the file. The first time it is created with a token for the owner, whose text goes into the file `token` in
   * the same directory.
   * @param dir the state directory, which is created where it does not exist
   * @param onproblem called with the reason where the changed file cannot be read; until it is mended every token is
   *   refused
   * @throws FsError that names the file, the line and the remedy
   */
  constructor(
    dir: string,
    private readonly onproblem: (error: Error) => void = () => undefined,
  ) {
    this.path = join(dir, 'tokens')
    makeDirectory(dir, 0o700)
    makeFirst(this.path, join(dir, 'token'))
    this.#load()
  }

  /**
   * The user that a token stands for; undefined for an unknown token and for one that only joins. Takes the same time
   * for any token.
   */
  verify(token: string): User | undefined {
    const row = this.#find(token)
    if (!row || row.role === 'join') return undefined
    const { name, uid } = account()
    return { name: row.user, uid: row.user === name && uid >= 0 ? uid : NONUNAME, role: row.role }
  }

  /** Whether a token lets its holder join. Takes the same time for any token. */
  verifyJoin(token: string): boolean {
    return this.#find(token)?.role === 'join'
  }

  /**
   * Makes a token and adds its line to the file, which a running server then reads again by itself.
   * @returns the token, which is stored nowhere
   * @throws FsError where the user's name is invalid or the file is full or not private; the errors of open(2) and
   *   write(2)
   */
  add(role: Role, user: string, comment: string): string {
    if (!userName.test(user)) throw fail('badArgument', `user ${user}: expected letters, digits, ., - and _`)
    const before = readPrivate(this.path)
    const token = newToken()
    // a single append: neither a server that reads now nor another process that adds a token sees half a line
    const text = `${before === '' || before.endsWith('\n') ? '' : '\n'}${line(role, user, token, comment)}`
    // a server refuses a larger file, and with it every token
    if (Buffer.byteLength(before) + text.length > MAX_PRIVATE)
      throw fail('tooLarge', `${this.path}: at most ${MAX_PRIVATE} bytes; remove the lines of unused tokens`)
    appendFileSync(this.path, text)
    return token
  }

  /**
   * Verifies a token for Tauth.
   * @throws FsError `authentication required`, always the same and after a second, for a wrong token
   */
  async authenticate(token: string): Promise<User> {
    const user = this.verify(token)
    if (user) return user
    await sleep(FAILURE_DELAY_MS, undefined, { ref: false })
    throw fail('authRequired')
  }

  #find(token: string): Row | undefined {
    this.#reload()
    const digest = digestOf(token)
    let found: Row | undefined
    for (const row of this.#rows) if (timingSafeEqual(row.digest, digest)) found = row
    return shape.test(token) ? found : undefined
  }

  #reload(): void {
    try {
      const { mtimeMs, size, ino, mode } = statSync(this.path)
      if (this.#seen === `${mtimeMs} ${size} ${ino} ${mode}`) return
      this.#load()
    } catch (e) {
      if (this.#rows.length > 0) this.onproblem(e as Error)
      this.#rows = []
      this.#seen = ''
    }
  }

  #load(): void {
    const { mtimeMs, size, ino, mode } = statSync(this.path)
    this.#rows = parse(this.path, readPrivate(this.path))
    this.#seen = `${mtimeMs} ${size} ${ino} ${mode}`
  }
}

function parse(path: string, text: string): Row[] {
  const rows: Row[] = []
  text.split('\n').forEach((full, i) => {
    const words = full.replace(/(^|\s)#.*$/, '').split(/\s+/)
    const [role, user, digest, ...more] = words.filter(word => word !== '')
    if (role === undefined) return
    // messages do not repeat the line: somebody may have put a token there
    const bad = (what: string) => fail('badArgument', `${path}:${i + 1}: ${what}; correct or remove the line`)
    if (!roles.some(known => known === role)) throw bad(`expected a role first; roles: ${roles.join(', ')}`)
    if (user === undefined || !userName.test(user)) throw bad('expected a user name after the role')
    const [, hex] = /^sha256:([0-9a-f]{64})$/.exec(digest ?? '') ?? []
    if (hex === undefined || more.length > 0)
      throw bad('expected sha256: and 64 hexadecimal digits after the user, then only a # comment')
    rows.push({ role: role as Role, user, digest: Buffer.from(hex, 'hex') })
  })
  return rows
}

/**
 * Creates both files where there is no token file. Each is complete from the moment it exists, even where several
 * processes start at once.
 */
function makeFirst(tokens: string, clear: string): void {
  if (statSync(tokens, { throwIfNoEntry: false })) return
  placePrivate(clear, `${newToken()}\n`)
  const token = readPrivate(clear).trim()
  if (!shape.test(token)) throw fail('badArgument', `${clear} does not contain a token; rm ${clear}`)
  const header = '# role (read, use, admin, join)  user  sha256 of the token\n'
  placePrivate(
    tokens,
    header + line('admin', account().name, token, 'made at the first start; llambo’s own tools read it from ./token'),
  )
}

/**
 * The token that the user gives for the server that a command speaks to: `$LLAMBO_TOKEN`, else the content of the file
 * `$LLAMBO_TOKEN_FILE`. There is no flag for it, because every user can read command lines with ps(1).
 * @throws FsError where the file does not exist or others may read it
 */
export function namedToken(env: NodeJS.ProcessEnv): string | undefined {
  const token = variable(env, 'LLAMBO_TOKEN')
  if (token !== undefined) return token
  const file = variable(env, 'LLAMBO_TOKEN_FILE')
  if (file === undefined) return undefined
  if (!statSync(file, { throwIfNoEntry: false })) throw fail('notFound', `${file}, named by $LLAMBO_TOKEN_FILE`)
  return variable({ LLAMBO_TOKEN: readPrivate(file) }, 'LLAMBO_TOKEN')
}

/** The file of the owner's own token, which the first start created. */
export const ownerTokenFile = (dir: string): string => join(dir, 'token')

/**
 * The owner's own token, for their own server only; undefined where none has been made.
 * @param dir the state directory
 */
export function ownerToken(dir: string): string | undefined {
  const path = ownerTokenFile(dir)
  return statSync(path, { throwIfNoEntry: false }) ? readPrivate(path).trim() : undefined
}
