/** Tests the token file and the tokens that our own tools offer. */
import {
  chmodSync,
  existsSync,
  readdirSync,
  readFileSync,
  statSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { account } from '../../cli/account.js'
import { line, namedToken, newToken, ownerToken, roles, Tokens } from '../../cli/tokens.js'

const me = account().name

/** Replaces the token file and advances its modification time, so that two writes in one clock tick differ. */
let tick = 1_000_000
function write(path: string, text: string) {
  writeFileSync(path, text, { mode: 0o600 })
  utimesSync(path, ++tick, tick)
}

t.test('a token is recognisable and random', async t => {
  t.match(newToken(), /^llb_[A-Za-z0-9_-]{43}$/)
  t.not(newToken(), newToken())
})

t.test('the first start makes a token for the owner, which our own tools find and the server accepts', async t => {
  const dir = join(t.testdir(), 'state')
  const tokens = new Tokens(dir)
  t.same(readdirSync(dir).sort(), ['token', 'tokens'])
  for (const name of ['token', 'tokens']) t.equal(statSync(join(dir, name)).mode & 0o777, 0o600, name)
  t.equal(statSync(dir).mode & 0o777, 0o700)
  const token = ownerToken(dir)!
  t.match(tokens.verify(token), { name: me, uid: process.getuid?.(), role: 'admin' })
  t.notMatch(
    readFileSync(join(dir, 'tokens'), 'utf8'),
    token,
    'the file that the server reads does not contain the token',
  )
  new Tokens(dir)
  t.equal(ownerToken(dir), token, 'a second start changes nothing')
})

t.test('a token can come from the environment or from a file that it names', async t => {
  const dir = t.testdir({ file: 'llb_file\n' })
  const file = join(dir, 'file')
  chmodSync(file, 0o600)
  t.equal(namedToken({ LLAMBO_TOKEN: 'llb_given ' }), 'llb_given')
  t.equal(namedToken({ LLAMBO_TOKEN_FILE: file }), 'llb_file')
  t.equal(namedToken({}), undefined)
  t.equal(namedToken({ LLAMBO_TOKEN: 'llb_env', LLAMBO_TOKEN_FILE: file }), 'llb_env')
  t.equal(ownerToken(dir), undefined, 'the owner may have no token')
  t.throws(() => namedToken({ LLAMBO_TOKEN_FILE: join(dir, 'none') }), {
    message: /file does not exist: .*none, named by/,
  })
  chmodSync(file, 0o640)
  t.throws(() => namedToken({ LLAMBO_TOKEN_FILE: file }), {
    message: `permission denied: ${file}: other users can read or change this file; chmod 600 ${file}`,
  })
})

t.test('a line sets the role and user of its token, and a join token does not open the tree', async t => {
  const dir = t.testdir()
  const tokens = new Tokens(dir)
  const made = roles.map(role => [role, newToken()] as const)
  write(
    tokens.path,
    `# ours\n\n${made.map(([role, token]) => line(role, `some.${role}`, token, 'a comment')).join('')}`,
  )
  for (const [role, token] of made) {
    if (role === 'join') t.equal(tokens.verify(token), undefined)
    else t.same(tokens.verify(token), { name: `some.${role}`, uid: 0xffffffff, role })
  }
})

t.test('only the exact token is known', async t => {
  const dir = t.testdir()
  const tokens = new Tokens(dir)
  const token = ownerToken(dir)!
  const [, digest = ''] = /sha256:(\S+)/.exec(readFileSync(tokens.path, 'utf8')) ?? []
  for (const wrong of [
    '',
    'llb_',
    `${token} `,
    token.slice(0, -1),
    `${token}A`,
    token.toUpperCase(),
    newToken(),
    digest,
    `sha256:${digest}`,
  ]) {
    t.equal(tokens.verify(wrong), undefined)
  }
})

t.test('the file is read again when it has changed', async t => {
  const dir = t.testdir()
  const tokens = new Tokens(dir)
  const [old, young] = [newToken(), newToken()]
  write(tokens.path, line('use', 'ada', old, ''))
  t.match(tokens.verify(old), { name: 'ada' })
  write(tokens.path, line('use', 'ada', old, '') + line('use', 'ada', young, ''))
  t.match(
    [tokens.verify(old), tokens.verify(young)],
    [{ name: 'ada' }, { name: 'ada' }],
    'two tokens are valid while one replaces the other',
  )
  write(tokens.path, line('use', 'ada', young, ''))
  t.equal(tokens.verify(old), undefined)
  t.match(tokens.verify(young), { name: 'ada' })
})

t.test('a file that others may read is refused with the remedy, at the start and later', async t => {
  const dir = t.testdir()
  const problems: string[] = []
  const tokens = new Tokens(dir, e => problems.push(e.message))
  const token = ownerToken(dir)!
  chmodSync(tokens.path, 0o644)
  const message = `permission denied: ${tokens.path}: other users can read or change this file; chmod 600 ${tokens.path}`
  t.throws(() => new Tokens(dir), { message })
  t.equal(tokens.verify(token), undefined)
  tokens.verify(token)
  t.same(problems, [message], 'the problem is reported once')
  chmodSync(tokens.path, 0o600)
  t.match(tokens.verify(token), { name: me }, 'the mended file is accepted again')
})

t.test('only a join token lets its holder join', async t => {
  const dir = t.testdir()
  const tokens = new Tokens(dir)
  const made = roles.map(role => [role, tokens.add(role, 'ada', 'a comment')] as const)
  for (const [role, token] of made) t.equal(tokens.verifyJoin(token), role === 'join', role)
  for (const wrong of ['', newToken(), ownerToken(dir)!]) t.notOk(tokens.verifyJoin(wrong))
})

t.test('a running server accepts an added token, which is not stored', async t => {
  const dir = t.testdir()
  const running = new Tokens(dir)
  const before = readFileSync(running.path, 'utf8')
  const token = new Tokens(dir).add('use', 'ada', 'made just now')
  t.match(running.verify(token), { name: 'ada', role: 'use' })
  t.match(running.verify(ownerToken(dir)!), { name: me }, 'earlier tokens are still accepted')
  const text = readFileSync(running.path, 'utf8')
  t.ok(text.startsWith(before))
  t.match(text.slice(before.length), /^use ada sha256:[0-9a-f]{64} # made just now\n$/)
  t.notMatch(text, token)
  t.equal(statSync(running.path).mode & 0o777, 0o600)
})

t.test('a token is added on a line of its own below a last line without a newline', async t => {
  const dir = t.testdir()
  const tokens = new Tokens(dir)
  const old = newToken()
  write(tokens.path, line('use', 'ada', old, 'by hand').trimEnd())
  const young = tokens.add('use', 'bob', '')
  t.match([tokens.verify(old), tokens.verify(young)], [{ name: 'ada' }, { name: 'bob' }])
})

t.test('a token that would make the file invalid is not added', async t => {
  const dir = t.testdir()
  const tokens = new Tokens(dir)
  const token = ownerToken(dir)!
  for (const user of ['', 'a b', 'a\nadmin x', '../x', '#x', 'x'.repeat(65)])
    t.throws(() => tokens.add('use', user, ''), { message: /^bad argument: user / })
  const one = line('use', 'ada', newToken(), '')
  write(tokens.path, readFileSync(tokens.path, 'utf8') + one.repeat(Math.floor((256 * 1024 - 300) / one.length)))
  while (tokens.verify(token)) {
    try {
      tokens.add('use', 'ada', '')
    } catch (e) {
      t.match(e, { message: /^file too large: .*remove the lines of unused tokens/ })
      break
    }
  }
  t.match(tokens.verify(token), { name: me }, 'the tokens in the file are still accepted')
})

t.test('an error in the file is reported with its line and without the token', async t => {
  const dir = t.testdir()
  const { path } = new Tokens(dir)
  const token = newToken()
  for (const [text, error] of [
    [
      '\nroot ada sha256:00',
      `${path}:2: expected a role first; roles: read, use, admin, join; correct or remove the line`,
    ],
    [`${token} use ada`, `${path}:1: expected a role first`],
    ['use', `${path}:1: expected a user name after the role`],
    ['use ../ada x', `${path}:1: expected a user name after the role`],
    [`use ada ${token}`, `${path}:1: expected sha256: and 64 hexadecimal digits after the user, then only a # comment`],
    [`${line('use', 'ada', token, '').split('#')[0]} more`, `${path}:1: expected sha256: and 64`],
  ] as const) {
    write(path, text)
    t.throws(() => new Tokens(dir), { message: new RegExp(`^bad argument: ${error.replace(/[.:#]/g, '\\$&')}`) })
    try {
      new Tokens(dir)
    } catch (e) {
      t.notMatch((e as Error).message, token)
    }
  }
})

t.test('a directory in the place of the file is reported with the remedy', async t => {
  const dir = t.testdir({ tokens: {} })
  const path = join(dir, 'tokens')
  chmodSync(path, 0o700)
  t.throws(() => new Tokens(dir), { message: `bad argument: ${path} is a directory; mv ${path} ${path}.old` })
})

t.test('a running server whose file is invalid or gone refuses every token until the file is mended', async t => {
  const dir = t.testdir()
  const problems: string[] = []
  const tokens = new Tokens(dir, e => problems.push(e.message))
  const token = ownerToken(dir)!
  write(tokens.path, 'nonsense\n')
  t.equal(tokens.verify(token), undefined)
  t.match(problems, [/:1: expected a role first/])
  write(tokens.path, line('read', 'ada', token, ''))
  t.match(tokens.verify(token), { role: 'read' })
  unlinkSync(tokens.path)
  t.equal(tokens.verify(token), undefined)
  t.notOk(existsSync(tokens.path), 'the server does not create the file again')
})

t.test('a wrong token at Tauth is refused after a second, always with the same message', async t => {
  const dir = t.testdir()
  const tokens = new Tokens(dir)
  t.match(await tokens.authenticate(ownerToken(dir)!), { name: me })
  const keep = setTimeout(() => undefined, 5000)
  const began = performance.now()
  await Promise.all(
    ['', newToken()].map(token =>
      t.rejects(tokens.authenticate(token), { message: 'authentication required', errno: 13 }),
    ),
  )
  clearTimeout(keep)
  t.ok(performance.now() - began > 950)
})
