import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { appendFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { variable } from '../../api/environment.js'
import { fail } from '../../fs/errors.js'
import type { User } from '../../fs/file.js'
import { makeDirectory } from '../../fs/host-directory.js'
import { NONUNAME } from '../../fs/protocol.js'
import { account } from './account.js'
import { MAX_PRIVATE, placePrivate, readPrivate } from './private.js'

/** What a token opens: `join` only the end point where workers and hosts join, the others the tree. */
export const roles = ['read', 'use', 'admin', 'join'] as const
export type Role = (typeof roles)[number]

interface Row {
  readonly role: Role
  readonly user: string
  readonly digest: Buffer
}

/** A wrong token is answered after this, in ms. */
const FAILURE_DELAY_MS = 1000

/** `llb_`, so that scanners find leaked ones, and 256 random bits. */
export const newToken = (): string => `llb_${randomBytes(32).toString('base64url')}`
const shape = /^llb_[A-Za-z0-9_-]{43}$/
const userName = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$/

const digestOf = (token: string): Buffer => createHash('sha256').update(token).digest()
export const line = (role: Role, user: string, token: string, comment: string): string =>
  `${role} ${user} sha256:${digestOf(token).toString('hex')} # ${comment}\n`

/**
 * The tokens that a server takes, from the file `tokens` in its state directory: a line each of role, user and the token's
 * SHA-256, with `#` comments. The file is read again when it has changed, so a line added, or two valid ones for a while, is
 * how tokens are given, withdrawn and rotated without a restart.
 */
export class Tokens {
  readonly path: string
  #rows: readonly Row[] = []
  #seen = ''

  /**
   * Opens the file and, the first time, makes it with a token for the owner, whose text goes into `token` beside it.
   * @param dir the state directory, made if need be
   * @param onproblem is told why the file could not be read again; until it is mended no token is taken
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

  /** The user a token stands for; undefined for one that is unknown, or not for the tree. Takes as long for any. */
  verify(token: string): User | undefined {
    const row = this.#find(token)
    if (!row || row.role === 'join') return undefined
    const { name, uid } = account()
    return { name: row.user, uid: row.user === name && uid >= 0 ? uid : NONUNAME, role: row.role }
  }

  /** Whether a token lets its holder join. Takes as long for any. */
  verifyJoin(token: string): boolean {
    return this.#find(token)?.role === 'join'
  }

  /**
   * Makes a token and adds its line to the file, which a server that runs reads again by itself.
   * @returns the token, which is written nowhere
   * @throws FsError where the user's name is none, the file is full, or cannot be written
   */
  add(role: Role, user: string, comment: string): string {
    if (!userName.test(user)) throw fail('badArgument', `user ${user}: letters, digits, dots, - and _`)
    const before = readPrivate(this.path)
    const token = newToken()
    // one write at the end: neither a server that reads now nor another who adds sees half a line
    const text = `${before === '' || before.endsWith('\n') ? '' : '\n'}${line(role, user, token, comment)}`
    // with more in it the server would take no token at all
    if (Buffer.byteLength(before) + text.length > MAX_PRIVATE)
      throw fail('tooLarge', `${this.path}: at most ${MAX_PRIVATE} bytes; remove the lines of tokens nobody uses`)
    appendFileSync(this.path, text)
    return token
  }

  /** For Tauth: as `verify`, but a wrong token costs a second and always the same words. */
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
    // no word of the line is shown: somebody may have put the token there
    const bad = (what: string) => fail('badArgument', `${path}:${i + 1}: ${what}; mend the line, or remove it`)
    if (!roles.some(known => known === role)) throw bad(`a line begins with a role: ${roles.join(', ')}`)
    if (user === undefined || !userName.test(user)) throw bad('a user follows the role')
    const [, hex] = /^sha256:([0-9a-f]{64})$/.exec(digest ?? '') ?? []
    if (hex === undefined || more.length > 0)
      throw bad('sha256: and 64 hexadecimal digits follow the user, then nothing but a # comment')
    rows.push({ role: role as Role, user, digest: Buffer.from(hex, 'hex') })
  })
  return rows
}

/** Makes both files, if there is no token file. Either is complete from the moment it is there, whoever else starts now. */
function makeFirst(tokens: string, clear: string): void {
  if (statSync(tokens, { throwIfNoEntry: false })) return
  placePrivate(clear, `${newToken()}\n`)
  const token = readPrivate(clear).trim()
  if (!shape.test(token)) throw fail('badArgument', `${clear} holds no token: rm ${clear}`)
  const header = '# role (read, use, admin, join)  user  sha256 of the token\n'
  placePrivate(
    tokens,
    header + line('admin', account().name, token, 'made at the first start; our own tools find it in ./token'),
  )
}

/**
 * The token that the user names for the server they speak to: `$LLAMBO_TOKEN`, else what the file `$LLAMBO_TOKEN_FILE` holds. Never from the
 * command line, which every user can read in ps(1).
 * @throws FsError where a file that is named is not there or may be read by others
 */
export function namedToken(env: NodeJS.ProcessEnv): string | undefined {
  const token = variable(env, 'LLAMBO_TOKEN')
  if (token !== undefined) return token
  const file = variable(env, 'LLAMBO_TOKEN_FILE')
  if (file === undefined) return undefined
  if (!statSync(file, { throwIfNoEntry: false })) throw fail('notFound', `${file}, named by $LLAMBO_TOKEN_FILE`)
  return variable({ LLAMBO_TOKEN: readPrivate(file) }, 'LLAMBO_TOKEN')
}

/** Where the owner's own token is, which the first start made. */
export const ownerTokenFile = (dir: string): string => join(dir, 'token')

/** The owner's own token, for their own server and no other; undefined where none has been made. @param dir the state directory */
export function ownerToken(dir: string): string | undefined {
  const path = ownerTokenFile(dir)
  return statSync(path, { throwIfNoEntry: false }) ? readPrivate(path).trim() : undefined
}
